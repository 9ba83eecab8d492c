// The service's errors in words for a person: sizes in MB and megapixels, no codes, no settings.

const OPENINGS = {
  invalid_image: "This photo can't be used",
  invalid_parameter: "An option of the request was refused",
  too_large: "The photo is too large",
  unavailable: "The service can't answer now; try again in a moment",
  rate_limited: "The service is busy; try again in a moment",
  internal: "The service failed",
};

/** `message`: an error of the service, of its gateway or of the playground's server. */
export function inWords(message) {
  const [, code, said] = /^(?:in ensemble '[^']*', )?(?:\[(\w+)\] )?(.*)$/s.exec(message);
  const plain = sizes(said.replaceAll(/ \(AURUM_\w+\)/g, "").trim());
  const text = code in OPENINGS ? `${OPENINGS[code]}: ${plain}` : plain;
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

/** Format a number of bytes. */
export function megabytes(bytes) {
  return inUnits(
    [bytes],
    [
      ["MB", 1e6],
      ["kB", 1e3],
      ["bytes", 1],
    ],
  )[0];
}

// Large numbers in a sentence are all of one kind. Those of "300x200" stay.
function sizes(text) {
  if (!/ (bytes|pixels)/.test(text)) return text;
  const large = /(?<![\w.])\d{4,}(?![\dx])(?: bytes| pixels)?/g;
  const numbers = (text.match(large) ?? []).map(Number.parseFloat);
  const units = / bytes/.test(text)
    ? [
        ["MB", 1e6],
        ["kB", 1e3],
      ]
    : [
        ["megapixels", 1e6],
        ["pixels", 1],
      ];
  const words = inUnits(numbers, units);
  return text.replaceAll(large, () => words.shift());
}

// Rounded, but so that different numbers stay different: not "10 MB; at most 10 MB are allowed".
function inUnits(numbers, units) {
  for (let digits = 3; ; digits += 1) {
    const words = numbers.map((number) => {
      const [unit, size] = units.find(([, least]) => number >= least) ?? units.at(-1);
      return `${Number((number / size).toPrecision(digits))} ${unit}`;
    });
    if (new Set(words).size === new Set(numbers).size || digits === 15) return words;
  }
}
