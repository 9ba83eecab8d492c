// The Find tab: the likest of the enrolled members, and whether the face matches them.

import { chooser, portrait } from "./chooser.js";
import { el, figures, options, percent } from "./dom.js";
import { search, table } from "./members.js";
import { Notice } from "./notice.js";

// Each value is an option of the search.
const PER_COMPARISON = {
  "far 1e-2": "1 in 100 comparisons",
  "far 1e-3": "1 in 1,000 comparisons",
  "far 1e-4": "1 in 10,000 comparisons",
  "far 1e-5": "1 in 100,000 comparisons",
  "far 1e-6": "1 in 1,000,000 comparisons",
};
const PER_SEARCH = {
  "false_matches 1": "1 in each search",
  "false_matches 0.1": "1 in 10 searches",
  "false_matches 0.01": "1 in 100 searches",
};
const DECISIONS = new Map([
  [true, "match"],
  [false, "no match"],
  [null, "–"],
]);

export function find(panel, { onanswer }) {
  const notice = new Notice();
  let about = ""; // what is searched, once that is known
  const verdict = el("div", { class: "verdict", role: "status" });
  const photo = chooser("Photo", { onanswer, onchange: update });
  const rate = el(
    "select",
    { name: "rate", onchange: update },
    el("optgroup", { label: "a comparison" }, ...options(PER_COMPARISON, "far 1e-4")),
    el("optgroup", { label: "a search of all faces, on average" }, ...options(PER_SEARCH)),
  );
  const top = el("input", {
    type: "number",
    name: "top",
    min: 1,
    max: 1000,
    step: 1,
    value: 5,
    onchange: update,
  });
  const rows = el("tbody");
  const list = el(
    "div",
    { class: "found", hidden: true },
    el("h2", {}, "The likest members"),
    el(
      "table",
      { class: "members" },
      el("caption", { class: "unseen" }, "Members by similarity, the likest first"),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          ...["member and photo", "similarity", "probability", "decision"].map((name) =>
            el("th", { scope: "col" }, name),
          ),
        ),
      ),
      rows,
    ),
  );
  panel.append(
    notice.element,
    verdict,
    el(
      "div",
      { class: "row" },
      el("label", {}, "accept strangers at most ", rate),
      el("label", {}, "list at most ", top),
    ),
    el("div", { class: "columns" }, photo.element, list),
  );
  let controller = null;
  update();

  async function update() {
    controller?.abort();
    controller = new AbortController();
    const { signal } = controller;
    const chosen = photo.chosen();
    if (chosen === null) {
      list.hidden = true;
      verdict.replaceChildren(el("p", {}, "Choose a photo, and a face in it."));
      return;
    }
    if (list.hidden) verdict.replaceChildren(el("p", {}, "Searching …"));
    const [name, value] = rate.value.split(" ");
    const wanted = { [name]: Number(value) };
    if (top.value !== "") wanted.top = top.valueAsNumber;
    try {
      const found = await search(chosen, wanted, signal);
      if (signal.aborted) return;
      notice.say(about);
      verdict.replaceChildren(
        el("div", { class: "crops" }, portrait(chosen)),
        el("div", {}, ...words(found)),
      );
      rows.replaceChildren(...found.candidates.map(row));
      list.hidden = found.candidates.length === 0;
    } catch (error) {
      if (error.name === "AbortError") return;
      list.hidden = true;
      verdict.replaceChildren(el("p", {}, "No answer."));
      notice.refuse(error);
    }
  }

  return {
    take: photo.take,
    /** Say what is searched, or why nothing can be. */
    async show() {
      try {
        const { faces, embedder } = await table();
        about = `Searches ${counted(faces, "enrolled face")} for the person on a photo (${embedder}).`;
        const failed = !notice.alert.hidden;
        notice.say(about);
        if (failed) update(); // the table may have been made meanwhile
      } catch (error) {
        notice.refuse(error);
      }
    },
  };
}

function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

// The decision about the likest members, and what it rests on.
function words({ candidates, far, faces, threshold, reason, note }) {
  const compared = ["faces compared", faces.toLocaleString("en")];
  if (threshold === null) {
    return [
      el("p", { class: "decision" }, "No decision"),
      el("p", {}, `${reason[0].toUpperCase()}${reason.slice(1)}.`),
      figures([compared]),
    ];
  }
  const matches = candidates.filter(({ match }) => match).length;
  const strangers = Math.round(1 / far).toLocaleString("en");
  return [
    el(
      "p",
      { class: `decision ${matches > 0 ? "yes" : "no"}` },
      matches > 0 ? `Match: ${candidates[0].member}` : "No match",
    ),
    matches > 1 ? el("p", {}, `${matches} of the listed members match.`) : null,
    figures([
      [`threshold at one false accept in ${strangers} comparisons`, threshold.toFixed(4)],
      compared,
      ["strangers that match by chance, on average", String(Number((far * faces).toPrecision(2)))],
    ]),
    note === null ? null : el("p", { class: "hint" }, `The threshold is ${note}.`),
  ].filter((child) => child !== null);
}

function row({ member, photo, similarity, probability, match }) {
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, member, photo === member ? null : el("small", {}, photo)),
    el("td", {}, similarity.toFixed(4)),
    el("td", {}, probability === null ? "–" : percent(probability)),
    el("td", {}, DECISIONS.get(match)),
  );
}
