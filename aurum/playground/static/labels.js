// The texts beside the boxes, placed so that none covers another face or another text.

import { svg, turned } from "./dom.js";

const FONT = 13; // CSS pixels, at any size of the picture
const NARROW = 44; // CSS pixels; narrower boxes show only their number, in a smaller font,
const CROWD = 8; // as do all boxes if there are more of them than this

/**
 * SVG texts for the faces of an answer: in full, else the number alone, else none where there is no
 * room. The face `active` (an index or null) always gets its full text. `unit`: picture pixels in a
 * CSS pixel.
 */
export function labels({ size, faces }, active, unit) {
  const boxes = faces.map(({ box: [x, y, width, height] }) => ({ x, y, width, height }));
  const taken = [];
  const order = [...faces.keys()];
  if (active !== null) order.unshift(...order.splice(active, 1)); // so that the others make room
  return order.flatMap((i) => {
    const narrow = i !== active && (faces.length > CROWD || boxes[i].width < NARROW * unit);
    const font = (narrow ? 10 : FONT) * unit;
    const texts = narrow ? [] : [label(faces[i], i)];
    if (i !== active) texts.push(`${i + 1}`);
    const places = texts.flatMap((text) => spots(text, font, boxes[i], size));
    const others = boxes.filter((_, j) => j !== i);
    const free = places.find((place) => ![...others, ...taken].some((one) => overlap(one, place)));
    const place = free ?? (i === active ? places[0] : null);
    if (!place) return [];
    taken.push(place);
    return [
      svg(
        "text",
        { x: place.x, y: place.y + 0.8 * font, "font-size": font, "stroke-width": font / 4 },
        place.text,
      ),
    ];
  });
}

// Above the box, below it, or in its corner if it is much larger; always within the photo.
function spots(text, font, box, [width, height]) {
  const wide = 0.62 * font * text.length; // about as wide as the font draws it
  const x = Math.max(0, Math.min(box.x, width - wide));
  const place = (y) => ({ text, x, y, width: wide, height: font });
  const tops = [box.y - 1.2 * font, box.y + box.height + 0.2 * font];
  if (wide < box.width / 2 && font < box.height / 4) tops.push(Math.max(0, box.y) + 0.1 * font);
  const within = tops.filter((y) => y >= 0 && y + font <= height).map(place);
  return within.length > 0 ? within : [place(Math.max(0, box.y))];
}

function overlap(one, other) {
  return (
    one.x < other.x + other.width &&
    other.x < one.x + one.width &&
    one.y < other.y + other.height &&
    other.y < one.y + one.height
  );
}

function label(face, index) {
  const notes = [`${index + 1}`, face.score.toFixed(2)];
  if (face.quality !== null) notes.push(`quality ${face.quality.toFixed(2)}`);
  if (face.recognizable === false) notes.push("not recognizable");
  if (face.rotation) notes.push(turned(face));
  return notes.join(" · ");
}
