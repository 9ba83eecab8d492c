// The Live tab: the webcam at the service's own rate, with one frame in flight and the rest dropped.

import { counted, el, milliseconds, options } from "./dom.js";
import { Notice } from "./notice.js";
import { Overlay } from "./overlay.js";
import { cameraTrouble, openCamera, toJpeg } from "./photo.js";
import { DETECTION_SIZE, infer } from "./triton.js";

const KEPT = 30; // frames for the rate and the median

export function live(panel, { onanswer }) {
  const notice = new Notice();
  const overlay = new Overlay();
  const canvas = el("canvas", { role: "img", "aria-label": "the last analyzed frame" });
  const stage = el("div", { class: "stage", hidden: true }, canvas, overlay.element);
  const video = el("video", { playsinline: true });
  video.muted = true;
  const pipeline = el(
    "select",
    { name: "pipeline" },
    ...options({
      detect_faces: "boxes and landmarks",
      analyze_faces: "embeddings and quality, too",
    }),
  );
  const button = el(
    "button",
    { type: "button", class: "primary", onclick: () => (running ? stop() : start()) },
    "Start the camera",
  );
  const figures = Object.fromEntries(
    ["frame time", "median", "rate", "dropped", "faces"].map((name) => [name, el("dd", {}, "–")]),
  );
  panel.append(
    el("div", { class: "row" }, button, el("label", {}, "ask for ", pipeline)),
    notice.element,
    stage,
    el(
      "dl",
      { class: "figures" },
      ...Object.entries(figures).map(([name, value]) => el("div", {}, el("dt", {}, name), value)),
    ),
    el(
      "p",
      { class: "hint" },
      "This shows each analyzed frame with its marks. One frame is in flight at a time; frames that arrive meanwhile are dropped.",
    ),
  );
  let running = null;

  async function start() {
    const run = {
      stream: null,
      controller: new AbortController(),
      arrived: 0,
      asked: 0,
      ends: [],
      spent: [],
    };
    running = run;
    button.textContent = "Stop";
    notice.say("Waiting for the camera …");
    try {
      run.stream = await openCamera();
      if (running !== run) throw new DOMException("stopped", "AbortError");
      video.srcObject = run.stream;
      await video.play();
    } catch (error) {
      release(run);
      if (running === run) stop();
      if (error.name !== "AbortError") notice.fail(cameraTrouble(error));
      return;
    }
    run.stream.getVideoTracks()[0].addEventListener("ended", () => {
      if (running !== run) return;
      stop();
      notice.fail("The camera was disconnected.");
    });
    notice.say("The camera is on.");
    frames(run);
  }

  function stop() {
    const run = running;
    running = null;
    button.textContent = "Start the camera";
    if (run === null) return;
    run.controller.abort();
    release(run);
    video.srcObject = null;
    notice.say("The camera is off.");
  }

  function release(run) {
    run.stream?.getTracks().forEach((track) => track.stop());
  }

  // Analyzes a frame on arrival if none is in flight; the callback's metadata counts all frames.
  function frames(run) {
    const next = async (_, { presentedFrames }) => {
      if (running !== run) return;
      run.first ??= presentedFrames - 1;
      run.arrived = presentedFrames - run.first;
      run.asked += 1;
      try {
        await frame(run);
      } catch (error) {
        if (running !== run) return;
        stop();
        if (error.name !== "AbortError") notice.refuse(error);
        return;
      }
      if (running === run) video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  }

  async function frame(run) {
    const started = performance.now();
    const { blob, canvas: taken } = await toJpeg(
      video,
      video.videoWidth,
      video.videoHeight,
      DETECTION_SIZE,
      0.85,
    );
    const result = await infer(pipeline.value, blob, {}, run.controller.signal);
    if (running !== run) return;
    onanswer(result);
    canvas.width = taken.width;
    canvas.height = taken.height;
    canvas.getContext("2d").drawImage(taken, 0, 0);
    stage.hidden = false;
    overlay.show(result);
    const ended = performance.now();
    run.spent = [...run.spent, ended - started].slice(-KEPT);
    run.ends = [...run.ends, ended].slice(-KEPT);
    const sorted = [...run.spent].sort((a, b) => a - b);
    figures["frame time"].textContent = milliseconds(ended - started);
    figures.median.textContent = milliseconds(sorted[Math.floor(sorted.length / 2)]);
    if (run.ends.length > 1) {
      const rate = (1000 * (run.ends.length - 1)) / (ended - run.ends[0]);
      figures.rate.textContent = `${rate.toFixed(1)} frames/s`;
    }
    figures.dropped.textContent = `${run.arrived - run.asked} of ${run.arrived}`;
    figures.faces.textContent = counted(result.faces);
  }

  document.addEventListener("visibilitychange", () => document.hidden && stop());
  return {
    stop,
    take: () => notice.fail("This tab uses the camera; for photos use another tab."),
  };
}
