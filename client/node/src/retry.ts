const BASE_MS = 100;
const CAP_MS = 2000;

/**
 * Milliseconds to wait after a failed attempt, counted from 0: exponential backoff with full
 * jitter. Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function backoff(attempt: number, random: () => number = Math.random): number {
  return random() * Math.min(CAP_MS, BASE_MS * 2 ** attempt);
}
