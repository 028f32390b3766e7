/** Collects what a result inbox reports, so that a test can wait for it. */
import type { ResultSighting } from '../../../../core/ports/result-inbox.ts';

type Kind = ResultSighting['kind'];
type Of<K extends Kind> = Extract<ResultSighting, { readonly kind: K }>;

/** How long a test waits for something that must come, milliseconds. */
const WAIT_MS = 10_000;

export interface SightingRecorder {
  readonly put: (sighting: ResultSighting) => void;
  /** Everything reported, oldest first. */
  readonly all: readonly ResultSighting[];
  /** Those of one kind. */
  of<K extends Kind>(kind: K): readonly Of<K>[];
  /** The first of this kind, or the `nth`, when it comes; fails after 10 s. */
  next<K extends Kind>(kind: K, nth?: number): Promise<Of<K>>;
}

export function sightingRecorder(): SightingRecorder {
  const all: ResultSighting[] = [];
  const listeners = new Set<() => void>();
  const of = <K extends Kind>(kind: K): readonly Of<K>[] => all.filter((sighting): sighting is Of<K> => sighting.kind === kind);

  return {
    put(sighting) {
      all.push(sighting);
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
