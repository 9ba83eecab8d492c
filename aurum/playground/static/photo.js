// Photo input: choose, drop, paste or take a photo, or use one of the examples.

import { el, freshId } from "./dom.js";

const EXAMPLES = [
  { file: "astronaut.jpg", person: "Eileen Collins", source: "NASA, public domain" },
  { file: "hopper.jpg", person: "Grace Hopper", source: "US Navy, public domain" },
];

/** Explain why the camera can't be used. */
export function cameraTrouble(error) {
  const known = {
    NotAllowedError: "the browser was not allowed to use the camera",
    NotFoundError: "no camera was found",
    NotReadableError: "the camera is in use by another program",
  };
  return `The camera can't be used: ${known[error.name] ?? error.message}.`;
}

/** Open the camera; returns its stream. */
export async function openCamera() {
  if (!navigator.mediaDevices) {
    throw new Error("browsers allow it only for pages on localhost or over https");
  }
  return navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
}

/** Encode a picture (video, image) as a JPEG whose long side has at most `side` pixels. */
export async function toJpeg(picture, width, height, side = Infinity, quality = 0.92) {
  const scale = Math.min(1, side / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => {
    canvas.toBlob(resolve, "image/jpeg", quality);
  });
  return { blob, canvas };
}

/** Buttons and a drop area. Calls `onphoto(blob, name)`, and `ontrouble(text)` on failure. */
export function photoInput({ onphoto, ontrouble, label = "Photo" }) {
  const id = freshId("file");
  const input = el("input", {
    type: "file",
    id,
    class: "unseen",
    // Each type is named, since a phone may convert others to JPEG; HEIC also by suffix, since a
    // browser that can't show it may not know that it is an image.
    accept: "image/jpeg,image/png,image/webp,image/avif,image/heic,image/heif,.heic,.heif,image/*",
    onchange: () => {
      take(input.files);
      input.value = ""; // so that the same file can be chosen again
    },
  });
  const area = el(
    "div",
    { class: "drop", role: "group", "aria-label": label },
    input,
    el("label", { for: id, class: "button" }, "Choose a photo"),
    el("button", { type: "button", onclick: () => takePhoto(give, ontrouble) }, "Take a photo"),
    el("span", { class: "hint" }, "or drop or paste one, or use an example:"),
    el("div", { class: "examples" }, ...EXAMPLES.map(button)),
  );
  area.addEventListener("dragover", (event) => {
    event.preventDefault();
    area.classList.add("over");
  });
  area.addEventListener("dragleave", () => area.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    area.classList.remove("over");
    take(event.dataTransfer.files);
  });

  function give(blob, name) {
    area.classList.add("used");
    onphoto(blob, name);
  }

  function take(files) {
    if (files.length > 0) give(files[0], files[0].name || "photo.jpg");
    else ontrouble("That was not a file; drop, paste or choose a photo.");
  }

  function button({ file, person, source }, index) {
    return el(
      "button",
      { type: "button", class: "example", onclick: () => example(index) },
      el("img", { src: `examples/${file}`, alt: `example: ${person}` }),
      el("span", { "aria-hidden": "true" }, person, el("small", {}, source)),
    );
  }

  async function example(index) {
    const { file } = EXAMPLES[index];
    try {
      const response = await fetch(`examples/${file}`);
      if (!response.ok) throw new Error(`status ${response.status}`);
      give(await response.blob(), file);
    } catch (error) {
      ontrouble(`The example can't be loaded: ${error.message}.`);
    }
  }

  return { element: area, take, example };
}

async function takePhoto(onphoto, ontrouble) {
  let stream;
  try {
    stream = await openCamera();
  } catch (error) {
    ontrouble(cameraTrouble(error));
    return;
  }
  const video = el("video", {
    autoplay: true,
    playsinline: true,
    "aria-label": "camera preview",
  });
  video.muted = true;
  const take = el(
    "button",
    {
      type: "button",
      class: "primary",
      disabled: true,
      onclick: async () => {
        const { blob } = await toJpeg(video, video.videoWidth, video.videoHeight);
        dialog.close();
        onphoto(blob, "camera.jpg");
      },
    },
    "Take it",
  );
  video.addEventListener("loadeddata", () => {
    take.disabled = false;
  }); // there is a picture
  video.srcObject = stream;
  const cancel = el("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const dialog = el(
    "dialog",
    {
      "aria-label": "Take a photo",
      onclose: () => {
        stream.getTracks().forEach((track) => track.stop());
        dialog.remove();
      },
    },
    video,
    el("div", { class: "row" }, take, cancel),
  );
  document.body.append(dialog);
  dialog.showModal();
}
