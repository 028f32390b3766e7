/** Collects what a result inbox reports, so that a test can wait for it. */
import type { ResultFileEvent } from '../../../../core/ports/result-inbox.ts';

type Kind = ResultFileEvent['kind'];
type Of<K extends Kind> = Extract<ResultFileEvent, { readonly kind: K }>;

/** How long a test waits for something that must come, in milliseconds. */
const WAIT_MS = 10_000;

export interface FileEventRecorder {
  readonly put: (event: ResultFileEvent) => void;
  /** Everything reported, oldest first. */
  readonly all: readonly ResultFileEvent[];
  /** Those of one kind. */
  of<K extends Kind>(kind: K): readonly Of<K>[];
  /** The first of this kind, or the `nth`, once it comes; fails after 10 s. */
  next<K extends Kind>(kind: K, nth?: number): Promise<Of<K>>;
}

export function fileEventRecorder(): FileEventRecorder {
  const all: ResultFileEvent[] = [];
  const listeners = new Set<() => void>();
  const of = <K extends Kind>(kind: K): readonly Of<K>[] => all.filter((event): event is Of<K> => event.kind === kind);

  return {
    put(event) {
      all.push(event);
      for (const listener of listeners) listener();
    },
    all,
    of,
    next: (kind, nth = 1) =>
      new Promise((resolve, reject) => {
        const late = setTimeout(() => {
          listeners.delete(check);
          reject(new Error(`Waited ${WAIT_MS} ms for ${kind} number ${nth}; reported was ${JSON.stringify(all)}.`));
        }, WAIT_MS);
        const check = (): void => {
          const found = of(kind)[nth - 1];
          if (found === undefined) return;
          clearTimeout(late);
          listeners.delete(check);
          resolve(found);
        };
        listeners.add(check);
        check();
      }),
  };
}
