// Crops of faces as the embedder sees them: rotated and scaled by their landmarks.

const SIDE = 112;
// Landmark positions in an aligned crop: InsightFace's `arcface_dst`, as in aurum/imaging.
const TEMPLATE = [
  [38.2946, 51.6963],
  [73.5318, 51.5014],
  [56.0252, 71.7366],
  [41.5493, 92.3655],
  [70.7299, 92.2041],
];

/** Draw a face of `picture` (an image, video or canvas) into a canvas, `scale` times 112 pixels. */
export function crop(picture, face, scale = 2) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE * scale;
  const [a, b, x, y] = similarity(face.landmarks) ?? fromBox(face.box);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  // Pixel centres are at integers in the service, at half-integers in a canvas.
  context.scale(scale, scale);
  context.translate(0.5, 0.5);
  context.transform(a, b, -b, a, x, y);
  context.translate(-0.5, -0.5);
  context.drawImage(picture, 0, 0);
  return canvas;
}

// Least-squares similarity transform (Umeyama, 1991) to the template: [a, b, x, y] of the map
// (u, v) -> (a u - b v + x, b u + a v + y). null if all landmarks coincide.
function similarity(landmarks) {
  const mean = (points) =>
    [0, 1].map((k) => points.reduce((sum, p) => sum + p[k], 0) / points.length);
  const [mu, mv] = mean(landmarks);
  const [tu, tv] = mean(TEMPLATE);
  let spread = 0,
    real = 0,
    imaginary = 0;
  landmarks.forEach(([u, v], i) => {
    const [du, dv, eu, ev] = [u - mu, v - mv, TEMPLATE[i][0] - tu, TEMPLATE[i][1] - tv];
    spread += du * du + dv * dv;
    real += du * eu + dv * ev;
    imaginary += du * ev - dv * eu;
  });
  if (!(spread > 0.25)) return null;
  const [a, b] = [real / spread, imaginary / spread];
  return [a, b, tu - (a * mu - b * mv), tv - (b * mu + a * mv)];
}

function fromBox([x, y, width, height]) {
  const scale = SIDE / Math.max(width, height, 1);
  return [scale, 0, SIDE / 2 - scale * (x + width / 2), SIDE / 2 - scale * (y + height / 2)];
}
