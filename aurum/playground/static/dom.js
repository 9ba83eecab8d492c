// Helpers for creating elements without HTML strings, which the page's policy (Trusted Types) forbids.

/** Create an element: attributes, `on...` listeners, boolean attributes, then children. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** Create an SVG element, like `el`. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

let made = 0;

/** An id that is unique on the page. */
export function freshId(what) {
  made += 1;
  return `${what}-${made}`;
}

/** A button that copies text to the clipboard and shows whether it worked. */
export function copyButton(label, text) {
  const button = el(
    "button",
    {
      type: "button",
      onclick: async () => {
        try {
          await navigator.clipboard.writeText(text());
          button.textContent = "Copied";
        } catch {
          button.textContent = "The browser refused to copy";
        }
        setTimeout(() => {
          button.textContent = label;
        }, 2000);
      },
    },
    label,
  );
  return button;
}

/** Format milliseconds. */
export function milliseconds(value) {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

/** Format a probability; a rounded one must not look like certainty. */
export function percent(probability) {
  if (probability > 0.9999) return "more than 99.99 %";
  if (probability < 0.0001) return "less than 0.01 %";
  return `${(100 * probability).toFixed(2)} %`;
}

/** A list of numbers with their names: [[name, text], ...]. */
export function figures(facts) {
  return el(
    "dl",
    { class: "figures" },
    ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
  );
}

/** The options of a select: { value: text, ... }, of which `chosen` is selected. */
export function options(texts, chosen) {
  return Object.entries(texts).map(([value, text]) =>
    el("option", { value, selected: value === chosen }, text),
  );
}

/** "1 face", "2 faces", "no face". */
export function counted(faces) {
  if (faces.length === 0) return "no face";
  return faces.length === 1 ? "1 face" : `${faces.length} faces`;
}

/** How far to turn the photo clockwise to make a face upright, such as "turned 90°". */
export function turned(face) {
  return `turned ${face.rotation}°`;
}
