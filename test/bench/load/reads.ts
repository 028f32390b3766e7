/** Reads, one after the other: what people and dashboards request. */
import { httpLine } from './http-line.ts';
import { recordTimes, type Spread } from './spread.ts';

export interface ReadPlan {
  readonly port: number;
  readonly token: string;
  /** Requested in turn. */
  readonly paths: readonly string[];
  /** Fewer if one takes long: no more than fit into a second, and at least `LEAST`. */
  readonly count: number;
}

const LEAST = 10;
const LONG_MS = 1_000;

export async function read({ port, token, paths, count }: ReadPlan): Promise<Spread> {
  let fail: (error: Error) => void = () => undefined;
  const failure = new Promise<never>((_, reject) => (fail = reject));
  const line = await httpLine(port, fail);
  const times = recordTimes();
  const ask = (path: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const sentMs = performance.now();
      line.send(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\n\r\n`, (status, body) => {
        times.record(performance.now() - sentMs);
        if (status === 200) resolve();
        else reject(new Error(`${path} was answered with ${status}: ${body}`));
      });
    });
  const all = async (): Promise<Spread> => {
    const untilMs = performance.now() + LONG_MS;
    for (let n = 0; n < count && (n < LEAST || performance.now() < untilMs); n += 1) await ask(paths[n % paths.length] ?? '/');
    return times.spread();
  };
  try {
    return await Promise.race([all(), failure]);
  } finally {
    line.end();
  }
}
