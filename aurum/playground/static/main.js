// The page: its tabs, what is dropped or pasted, and how the service is.

import { analyze } from "./analyze.js";
import { compare } from "./compare.js";
import { live } from "./live.js";
import { infer, ready, useKey } from "./triton.js";

const PAUSE = 4000; // milliseconds between two looks at the service

const byId = (id) => document.getElementById(id);
const panels = {};
for (const [name, build] of Object.entries({ analyze, compare, live })) {
  panels[name] = build(byId(name), { onanswer: known });
}
const names = Object.keys(panels);

// --- tabs: the address keeps which one, arrow keys go from one to the next ---

function shownTab() {
  const name = window.location.hash.slice(1);
  return names.includes(name) ? name : names[0];
}

function showTab() {
  const chosen = shownTab();
  for (const name of names) {
    const tab = byId(`tab-${name}`);
    tab.setAttribute("aria-selected", String(name === chosen));
    tab.tabIndex = name === chosen ? 0 : -1;
    byId(name).hidden = name !== chosen;
  }
  if (chosen !== "live") panels.live.stop();
}

// Not by the address's hash itself, which would scroll to the panel and move the focus.
function goTo(name) {
  if (name !== shownTab()) window.history.pushState(null, "", `#${name}`);
  showTab();
}

for (const name of names) {
  const tab = byId(`tab-${name}`);
  tab.addEventListener("click", () => goTo(name));
  tab.addEventListener("keydown", (event) => {
    const steps = {
      ArrowLeft: -1,
      ArrowRight: 1,
      Home: -names.indexOf(name),
      End: names.length - 1 - names.indexOf(name),
    };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const next = names[(names.indexOf(name) + steps[event.key] + names.length) % names.length];
    goTo(next);
    byId(`tab-${next}`).focus();
  });
}
window.addEventListener("popstate", showTab); // the browser's back, and addresses typed in
showTab();

// --- photos that are dropped beside the areas for them, or pasted ---

document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  panels[shownTab()].take(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length === 0) return; // text, for a field
  event.preventDefault();
  panels[shownTab()].take(event.clipboardData.files);
});

// --- a key, where a gateway stands before the service and wants one ---

window.addEventListener("keywanted", () => {
  byId("key").hidden = false;
});
byId("key").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").querySelector("input").value);
  look();
});

// --- the service: an inference says who answers, its own readiness whether it still does ---

let answered = false; // since it was last seen down

function known({ simulated }) {
  answered = true;
  byId("key").hidden = true;
  byId("simulated").hidden = !simulated;
  say("up", "the service is ready");
}

function say(state, text) {
  const health = byId("health");
  if (health.textContent === text) return; // not spoken again
  health.textContent = text;
  health.className = state;
}

let next = null;

async function look() {
  clearTimeout(next);
  if (!document.hidden) {
    if (!(await ready())) {
      answered = false;
      say("down", "the service is not ready, or not running");
    } else if (!answered) {
      try {
        known(await infer("detect_faces", await blank()));
      } catch (error) {
        say(
          "down",
          error.status === 401 ? error.message : `the service does not answer: ${error.message}`,
        );
      }
    }
  }
  next = setTimeout(look, PAUSE);
}

// A photo of nothing: the cheapest that is a real question.
async function blank() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  canvas.getContext("2d").fillRect(0, 0, 32, 32);
  return new Promise((resolve) => {
    canvas.toBlob(resolve, "image/png");
  });
}

look();
