/** Submits tasks over kept-alive HTTP: one per request, or many lines per request. */
import { httpLine, type HttpLine } from './http-line.ts';
import { recordTimes, type Spread } from './spread.ts';

export interface SubmitPlan {
  /** Of the hubs, used in turn. */
  readonly ports: readonly number[];
  readonly token: string;
  /** Connections, each with one request in flight. */
  readonly inFlight: number;
  /** 1: `POST /api/tasks`; more: this many lines of `POST /api/tasks/bulk`. */
  readonly perRequest: number;
  /** Sends an `Idempotency-Key` with each request, like AgentCom's own client. */
  readonly withKeys: boolean;
}

export interface Submitted {
  readonly seconds: number;
  /** From the first byte of a request to its answer. */
  readonly answers: Spread;
}

export interface Submitter {
  /** Submits tasks numbered from `first`, always with `inFlight` requests in flight, and waits for the last answer. */
  all(first: number, count: number): Promise<Submitted>;
  /** Submits one task, on a free connection or as soon as there is one. */
  one(n: number, done?: () => void): void;
  end(): void;
}

/** Of the next hub in turn. */
export const portOf = (ports: readonly number[], n: number): number => ports[n % ports.length] ?? 0;

/** The text of task `n`. */
export const descriptionOf = (n: number): string => `bench ${n}: look through the module, and mend what its tests say is broken.`;
/** The number in it. */
export const numberOf = (description: string): number => Number(description.slice(6, description.indexOf(':')));

/** `onFailure` is called when a connection breaks or a request is refused. */
export async function openSubmitter(plan: SubmitPlan, onFailure: (error: Error) => void): Promise<Submitter> {
  const lines = await Promise.all(Array.from({ length: plan.inFlight }, (_, n) => httpLine(portOf(plan.ports, n), onFailure)));
  const free = [...lines];
  const waiting: ((line: HttpLine) => void)[] = [];
  const request = requestsOf(plan);
  const send = (line: HttpLine, first: number, count: number, done: () => void): void =>
    line.send(request(first, count), (status, body) => {
      if (status === 201) done();
      else onFailure(new Error(`a submit was answered with ${status}: ${body}`));
    });

  return {
    async all(first, count) {
      const times = recordTimes();
      let next = first;
      const from = performance.now();
      const rounds = (line: HttpLine): Promise<void> =>
        new Promise((resolve) => {
          const round = (): void => {
            const n = next;
            const some = Math.min(plan.perRequest, first + count - n);
            if (some <= 0) return resolve();
            next += some;
            const sentMs = performance.now();
            send(line, n, some, () => {
              times.record(performance.now() - sentMs);
              round();
            });
          };
          round();
        });
      await Promise.all(lines.map(rounds));
      return { seconds: (performance.now() - from) / 1_000, answers: times.spread() };
    },

    one(n, done) {
      const on = (line: HttpLine): void =>
        send(line, n, 1, () => {
          const next = waiting.shift();
          if (next === undefined) free.push(line);
          else next(line);
          done?.();
        });
      // In turn: the hub closes connections that are idle for long.
      const line = free.shift();
      if (line === undefined) waiting.push(on);
      else on(line);
    },

    end() {
      for (const line of lines) line.end();
    },
  };
}

/** Unique to this process and moment, so that two runs on one hub never send the same key. */
const newRun = (): string => `${process.pid.toString(36)}-${Date.now().toString(36)}`;

/** Builds whole requests: head and body in one string. */
function requestsOf({ token, perRequest, withKeys }: SubmitPlan): (first: number, count: number) => string {
  const [path, type] = perRequest > 1 ? ['/api/tasks/bulk', 'x-ndjson'] : ['/api/tasks', 'json'];
  const run = newRun();
  const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n` + `Content-Type: application/${type}\r\n`;
  return (first, count) => {
    let body = '';
    for (let n = first; n < first + count; n += 1) body += `{"description":"${descriptionOf(n)}","needed_capabilities":["code"]}\n`;
    const key = withKeys ? `Idempotency-Key: ${run}-${first}\r\n` : '';
    return `${head}${key}Content-Length: ${body.length}\r\n\r\n${body}`;
  };
}
