/** Work on many items, a few at a time. */

type Settled<R> = { answer: R } | { error: unknown };
type Done<T, R> =
  | { task: Promise<unknown>; pulled: IteratorResult<T> }
  | { task: Promise<unknown>; settled: Settled<R> };

/**
 * Call `work` for each item and yield the results as they come.
 *
 * At most `limit` items are in work or wait to be taken, so a slow consumer slows down the source. If
 * the source or `work` throws, or the consumer stops early, no further item is taken from the source.
 */
export async function* inParallel<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  work: (item: T, index: number) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : started(items);
  const pending = new Set<Promise<Done<T, R>>>();
  let pulling = false;
  let ended = false;
  let index = 0;

  const pull = () => {
    pulling = true;
    const task: Promise<Done<T, R>> = Promise.resolve(source.next()).then(
      (pulled) => ({ task, pulled }),
      (error) => ({ task, settled: { error } }),
    );
    pending.add(task);
  };
  const start = (item: T) => {
    const task: Promise<Done<T, R>> = work(item, index++).then(
      (answer) => ({ task, settled: { answer } }),
      (error) => ({ task, settled: { error } }),
    );
    pending.add(task);
  };

  try {
    for (;;) {
      if (!ended && !pulling && pending.size < limit) pull();
      if (pending.size === 0) return;
      const done = await Promise.race(pending);
      pending.delete(done.task as Promise<Done<T, R>>);
      if ("pulled" in done) {
        pulling = false;
        if (done.pulled.done) ended = true;
        else start(done.pulled.value);
      } else if ("error" in done.settled) throw done.settled.error;
      else yield done.settled.answer;
    }
  } finally {
    // Not awaited: a source that is waiting for its next item would make the consumer wait, too.
    if (!ended) Promise.resolve(source.return?.()).catch(() => {});
  }
}

function started<T>(items: Iterable<T>): Iterator<T> {
  return items[Symbol.iterator]();
}
