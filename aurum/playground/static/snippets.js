// Code for the same call in curl, Python and Node.js.

import { copyButton, el, freshId } from "./dom.js";
import { hasKey, serviceUrl } from "./triton.js";

export function snippets() {
  let asked = ["photo.jpg", {}]; // the file's name and the request's options
  let texts = write(...asked);
  const pre = el("pre", { tabindex: "0", role: "region", "aria-label": "code" });
  let chosen = "curl";
  const name = freshId("language");
  const choices = Object.keys(texts).map((language) =>
    el(
      "label",
      {},
      el("input", {
        type: "radio",
        name,
        value: language,
        checked: language === chosen,
        onchange: () => {
          chosen = language;
          render();
        },
      }),
      ` ${language}`,
    ),
  );
  const render = () => {
    texts = write(...asked);
    pre.textContent = texts[chosen];
  };
  const element = el(
    "details",
    { class: "code", ontoggle: render }, // by then the service's address is known
    el("summary", {}, "The same call as code"),
    el(
      "fieldset",
      { class: "row" },
      el("legend", { class: "unseen" }, "Language"),
      ...choices,
      copyButton("Copy the code", () => texts[chosen]),
    ),
    pre,
  );
  return {
    element,
    show(file, options) {
      asked = [file, options];
      render();
    },
  };
}

function python(value) {
  if (value === "true" || value === "false") return value === "true" ? "True" : "False";
  return JSON.stringify(value);
}

// A key is read from the environment, so that it is not pasted into files.
function write(file, options) {
  const origin = serviceUrl();
  const key = (text) => (hasKey() ? text : "");
  const some = Object.keys(options).length > 0;
  const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const quoted = JSON.stringify(file); // also a valid Python and JavaScript string
  const url = `${origin}/v2/models/analyze_faces/infer`;
  const parameters = some ? `"parameters":${JSON.stringify(options)},` : "";
  const keywords = Object.entries(options)
    .map(([key, value]) => `, ${key}=${python(value)}`)
    .join("");
  return {
    curl: `(printf '{${parameters}"inputs":[{"name":"image","shape":[1],"datatype":"BYTES","data":["'
 base64 < ${shell(file)} | tr -d '\\n'
 printf '"]}]}') | curl -s ${key(`-H "Authorization: Bearer $AURUM_KEY" `)}--data-binary @- ${url}
`,
    Python: `${key("import os\n\n")}from aurum_client import FaceClient

with FaceClient("${origin}"${key(`, headers={"Authorization": f"Bearer {os.environ['AURUM_KEY']}"}`)}) as client:
    for face in client.analyze(${quoted}${keywords}):
        print(face.bbox, face.score, face.embedding.shape)
`,
    Node: `import { readFile } from "node:fs/promises";

const photo = await readFile(${quoted});
const response = await fetch("${url}", {
  method: "POST",${key("\n  headers: { Authorization: `Bearer ${process.env.AURUM_KEY}` },")}
  body: JSON.stringify({${some ? `\n    parameters: ${JSON.stringify(options)},` : ""}
    inputs: [{ name: "image", shape: [1], datatype: "BYTES", data: [photo.toString("base64")] }],
  }),
});
const answer = await response.json();
if (answer.error) throw new Error(answer.error);
for (const { name, shape, data } of answer.outputs) console.log(name, shape, data.slice(0, 4));
`,
  };
}
