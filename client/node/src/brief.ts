/** What the caller gave, in messages: a photo in base64 must not fill a log. */

const LONGEST = 80;

/** `value` as one line of at most 80 characters. */
export function brief(value: unknown): string {
  const text = String(value);
  const start = text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 3)}...`;
  return start.replace(/\p{Cc}/gu, " ");
}
