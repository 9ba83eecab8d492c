// The Compare tab: similarity of two faces, and the decision at a chosen false accept rate.

import { chooser, portrait } from "./chooser.js";
import { el, figures, options, percent } from "./dom.js";
import { defect } from "./quality.js";
import { compare as alike } from "./triton.js";

const DECISIONS = {
  match: "Same person",
  "no match": "Not the same person",
  "not recognizable": "Not recognizable, so there is no decision",
  uncalibrated: "No decision: this embedder is not calibrated.",
};
const LOOKS = { match: "yes", "no match": "no" };
const RATES = { "1e-2": "1 in 100", "1e-3": "1 in 1,000", "1e-4": "1 in 10,000" };

export function compare(panel, { onanswer }) {
  const sides = ["First photo", "Second photo"].map((name) =>
    chooser(name, { onanswer, onchange: update }),
  );
  const verdict = el("div", { class: "verdict", role: "status" });
  const rate = el(
    "select",
    { name: "far", onchange: update },
    ...options(RATES, "1e-4"),
  );
  const prior = el("input", {
    type: "number",
    name: "prior",
    min: 0.000001,
    max: 0.999999,
    step: "any",
    placeholder: "default",
    onchange: update,
  });
  panel.append(
    verdict,
    el(
      "div",
      { class: "row" },
      el("label", {}, "accept strangers at most ", rate),
      el("label", {}, "share of pairs that are the same person ", prior),
    ),
    el("div", { class: "columns even" }, ...sides.map(({ element }) => element)),
  );
  update();

  function update() {
    const chosen = sides.map((item) => item.chosen());
    if (chosen.includes(null)) {
      verdict.replaceChildren(
        el("p", {}, "Choose two photos, and a face in each."),
        sides.every((item) => item.empty())
          ? el("button", { type: "button", onclick: examples }, "Compare the examples")
          : "",
      );
      return;
    }
    const given = prior.value === "" ? null : prior.valueAsNumber;
    if (given !== null && !(given > 0 && given < 1)) {
      verdict.replaceChildren(
        el("p", { class: "error" }, "The share of pairs must be between 0 and 1, both excluded."),
      );
      return;
    }
    try {
      verdict.replaceChildren(...words(alike(...chosen, rate.value, given), chosen, given));
    } catch (error) {
      verdict.replaceChildren(el("p", { class: "error" }, error.message));
    }
  }

  function words({ similarity, threshold, decision, probability, gated }, chosen, given) {
    const facts = [["similarity (cosine)", similarity.toFixed(4)]];
    if (threshold !== null) {
      const strangers = RATES[rate.value].slice(5);
      facts.push([`threshold at one false accept in ${strangers}`, threshold.toFixed(4)]);
    }
    if (probability !== null) {
      const share = Number((100 * (given ?? chosen[0].calibration.prior)).toPrecision(4));
      facts.push([
        `probability of the same person, if ${share} % of pairs are`,
        percent(probability),
      ]);
    }
    const told = [
      el("p", { class: `decision ${LOOKS[decision] ?? ""}` }, DECISIONS[decision]),
      ...chosen.map(({ face, which }) =>
        face.defect === null ? null : el("p", {}, `The ${which}: ${defect(face)}.`),
      ),
      threshold === null || gated
        ? null
        : el(
            "p",
            { class: "hint" },
            "The service does not say whether the faces are recognizable.",
          ),
      figures(facts),
    ];
    return [el("div", { class: "crops" }, ...chosen.map(portrait)), el("div", {}, ...told)];
  }

  function examples() {
    sides.forEach((item, i) => item.example(i));
  }

  // A pasted photo goes to the first empty side, otherwise to the second.
  return { take: (files) => (sides.find((item) => item.empty()) ?? sides[1]).take(files) };
}
