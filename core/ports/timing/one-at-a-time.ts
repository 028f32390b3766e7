/** A queue that runs work serially, in the order of the calls. A failure rejects only its own call. */
export function oneAtATime(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work);
    // The next call only waits for the end: a failure is reported to its own caller.
    last = Promise.allSettled([turn]);
    return turn;
  };
}
