/** The default log of Redis errors, which limits how often it repeats each reason. */

const EACH_MS = 30_000;
const REASONS = 100;

/** @param write called at most once in 30 s per reason, with the number of omitted repeats */
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
