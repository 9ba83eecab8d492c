// A line that tells how a request went, for screen readers too: politely, or at once for an error.

import { el } from "./dom.js";
import { inWords, megabytes } from "./words.js";

export class Notice {
  constructor() {
    this.status = el("p", { class: "status", role: "status" });
    this.alert = el("div", { class: "error", role: "alert", hidden: true });
    this.element = el("div", {}, this.status, this.alert);
  }

  say(text) {
    this.status.textContent = text;
    this.alert.hidden = true;
    this.alert.replaceChildren();
  }

  /** Show an error of the page's own. */
  fail(text) {
    this.show(el("p", {}, text));
  }

  /** Show the service's error, with the photo that it is about, if there is one. */
  refuse(error, { blob, name } = {}) {
    this.show(
      blob ? thumbnail(blob, name) : null,
      el(
        "div",
        {},
        blob ? el("p", {}, el("strong", {}, name), `, ${megabytes(blob.size)}`) : null,
        el("p", {}, error.status === 0 ? error.message : inWords(error.message)),
        error.status === 0
          ? null
          : el(
              "details",
              {},
              el("summary", {}, "The service's own words"),
              el("p", {}, error.message),
            ),
      ),
    );
  }

  show(...children) {
    this.status.textContent = "";
    this.alert.replaceChildren(...children.filter((child) => child !== null));
    this.alert.hidden = false;
  }
}

// The refused photo; nothing if the browser can't show it either.
function thumbnail(blob, name) {
  const url = URL.createObjectURL(blob);
  const image = el("img", { alt: `the photo ${name}`, src: url, hidden: true });
  image
    .decode()
    .then(() => {
      image.hidden = false;
    })
    .catch(() => image.remove())
    .finally(() => URL.revokeObjectURL(url));
  return image;
}
