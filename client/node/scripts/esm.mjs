// Writes an ES module next to each CommonJS entry, which re-exports its names. So `import` and
// `require` share one implementation, and instanceof works across them.
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

for (const entry of ["index", "metrics", "worker/index"]) {
  const file = `${entry.split("/").at(-1)}.js`;
  const names = Object.keys(require(`../dist/${entry}.js`)).filter((name) => name !== "__esModule");
  writeFileSync(
    `dist/${entry}.mjs`,
    `import entry from "./${file}";\n${names.map((name) => `export const ${name} = entry.${name};\n`).join("")}`,
  );
  writeFileSync(`dist/${entry}.d.mts`, `export * from "./${file}";\n`);
}
