/** Photos sent as text, in the variants of base64 that encoders and browsers write. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fromText, unwrapped } from "../src/encoded/text.js";
import { ASTRONAUT } from "./support.js";

const photo = readFileSync(ASTRONAUT);
const text = photo.toString("base64");
const urlSafe = photo.toString("base64url");
const inLines = (width: number, end: string) =>
  text.replace(new RegExp(`.{${width}}`, "g"), `$&${end}`);

const spellings: Record<string, string> = {
  "as it is": text,
  "in lines of 76": inLines(76, "\n"),
  "in lines of 64, like in mail": inLines(64, "\r\n"),
  "with blanks around it": `\n\t ${text} \r\n`,
  "without padding": text.replace(/=+$/, ""),
  "in the alphabet of URLs": urlSafe,
  "as a data URL": `data:image/jpeg;base64,${text}`,
  "as a data URL of no media type": `data:;base64,${text}`,
  "as a data URL of another media type": `data:application/octet-stream;base64,${text}`,
  "as a data URL with parameters": `data:image/jpeg;name=a.jpg;base64,${text}`,
  "as a data URL in capitals": `DATA:IMAGE/JPEG;BASE64,${text}`,
  "as a data URL with blanks": ` data:image/jpeg; base64 ,${inLines(76, "\n")}`,
};
for (const [name, spelling] of Object.entries(spellings)) {
  test(`a photo in base64 ${name}`, () => {
    assert.deepEqual(unwrapped(Buffer.from(spelling)), photo);
    assert.deepEqual(fromText(spelling), photo);
  });
}

test("binary files, and text that is no encoded image, stay as they are", () => {
  for (const data of [photo, Buffer.from("BMAAAAAA"), Buffer.from("hello"), Buffer.alloc(9, " ")]) {
    assert.deepEqual(unwrapped(data), data);
  }
  const gif = Buffer.from("GIF89a, and what follows");
  // Decoded, so that the refusal can name the format.
  assert.deepEqual(unwrapped(Buffer.from(gif.toString("base64"))), gif);
});

test("damaged base64 is reported as such", () => {
  const other = /^the image is damaged base64 \(it has other characters\); accepted are/;
  for (const [spelling, message] of [
    [`${text.slice(0, 100)}%%${text.slice(100)}`, other],
    [`${text.slice(0, 100)}==${text.slice(100)}`, other],
    [text.slice(0, 1001), /damaged base64 \(it is cut off\)/],
    ["data:image/jpeg,abc", /^the data URL is not base64; accepted are/],
    [`data:image/jpeg;base64${text}`, /^the data URL is not base64/],
    ["data:base64,abc", /^the data URL is not base64/],
  ] as const) {
    const thrown = { message, code: "invalid_image" };
    assert.throws(() => unwrapped(Buffer.from(spelling)), thrown);
    assert.throws(() => fromText(spelling), thrown);
  }
});
