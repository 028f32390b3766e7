/** What a hostile process has done and how it was answered. */

export interface Tally {
  readonly frames: number;
  readonly bodies: number;
  /** Sockets that were opened, and how each ended, by close code. */
  readonly sockets: number;
  readonly closes: Readonly<Record<string, number>>;
  /** Answers over the wire by type, errors by code, nacks by reason. */
  readonly answers: Readonly<Record<string, number>>;
  /** HTTP answers by status; `cut` if the hub disconnected without one. */
  readonly statuses: Readonly<Record<string, number>>;
  /** What no peer may ever see: a 500, a close with 1011, an undocumented error code. */
  readonly surprises: readonly string[];
}

const SURPRISES_MAX = 50;

export interface Tallying {
  frame(): void;
  body(): void;
  socket(): void;
  closed(code: number): void;
  answered(what: string): void;
  status(status: number | 'cut' | 'unanswered'): void;
  surprise(what: string): void;
  readonly frames: number;
  readonly bodies: number;
  so(): Tally;
}

export function tallying(): Tallying {
  const counts = { frames: 0, bodies: 0, sockets: 0 };
  const [closes, answers, statuses] = [new Map<string, number>(), new Map<string, number>(), new Map<string, number>()];
  const surprises: string[] = [];
  const count = (map: Map<string, number>, key: string): void => void map.set(key, (map.get(key) ?? 0) + 1);
  const sorted = (map: Map<string, number>): Record<string, number> => Object.fromEntries([...map].sort(([, a], [, b]) => b - a));
  return {
    get frames() {
      return counts.frames;
    },
    get bodies() {
      return counts.bodies;
    },
    frame: () => void (counts.frames += 1),
    body: () => void (counts.bodies += 1),
    socket: () => void (counts.sockets += 1),
    closed: (code) => count(closes, String(code)),
    answered: (what) => count(answers, what),
    status: (status) => count(statuses, String(status)),
    surprise: (what) => void (surprises.length < SURPRISES_MAX && surprises.push(what.slice(0, 500))),
    so: () => ({ ...counts, closes: sorted(closes), answers: sorted(answers), statuses: sorted(statuses), surprises: [...surprises] }),
  };
}
