// The page: tabs, dropped and pasted photos, state of the service.

import { analyze } from "./analyze.js";
import { compare } from "./compare.js";
import { FIND } from "./features.js";
import { find } from "./find.js";
import { live } from "./live.js";
import { infer, ready, useKey } from "./triton.js";

const PAUSE = 4000; // milliseconds between two checks of the service

const byId = (id) => document.getElementById(id);
const panels = {};
const demos = { analyze, compare, ...(FIND && { find }), live };
for (const [name, build] of Object.entries(demos)) {
  panels[name] = build(byId(name), { onanswer: known });
  byId(`tab-${name}`).hidden = false;
}
const names = Object.keys(panels);

// --- tabs: the URL's hash names the current one, arrow keys move between them ---

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
  panels[chosen].show?.();
}

// Setting location.hash itself would scroll to the panel and move the focus.
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
window.addEventListener("popstate", showTab); // browser history, and typed URLs
showTab();

// --- photos that are dropped outside the drop areas, or pasted ---

document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  panels[shownTab()].take(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length === 0) return; // text for an input field
  event.preventDefault();
  panels[shownTab()].take(event.clipboardData.files);
});

// --- the API key, if a gateway in front of the service asks for one ---

window.addEventListener("keywanted", () => {
  byId("key").hidden = false;
});
byId("key").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").querySelector("input").value);
  check();
});

// --- the service: a first inference names its models, then readiness checks suffice ---

let answered = false; // since the service was last down

function known({ simulated }) {
  answered = true;
  byId("key").hidden = true;
  byId("simulated").hidden = !simulated;
  say("up", "the service is ready");
}

function say(state, text) {
  const health = byId("health");
  if (health.textContent === text) return; // so that screen readers don't repeat it
  health.textContent = text;
  health.className = state;
}

let next = null;

async function check() {
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
          error.status === 401 ? error.message : `the service is not working: ${error.message}`,
        );
      }
    }
  }
  next = setTimeout(check, PAUSE);
}

// A black photo, the cheapest input for a real inference.
async function blank() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  canvas.getContext("2d").fillRect(0, 0, 32, 32);
  return new Promise((resolve) => {
    canvas.toBlob(resolve, "image/png");
  });
}

check();
