/** The default log of what goes wrong with Redis: each reason now and then, however often it comes. */

const EACH_MS = 30_000;
const REASONS = 100;

/** @param write is called at most once in 30 s for each reason, with how many were left out */
export function limitedLog(write: (line: string) => void = console.error): (error: Error) => void {
  const seen = new Map<string, { at: number; leftOut: number }>();
  return (error) => {
    const reason = `${error.name}: ${error.message}`.slice(0, 500);
    const now = performance.now();
    const last = seen.get(reason);
    if (last && now - last.at < EACH_MS) {
      last.leftOut++;
      return;
    }
    if (seen.size >= REASONS) seen.clear();
    seen.set(reason, { at: now, leftOut: 0 });
    const more = last?.leftOut ? ` (and ${last.leftOut} times since the last line)` : "";
    write(`aurum-face-client: ${reason}${more}`);
  };
}
