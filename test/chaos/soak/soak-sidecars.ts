/**
 * Many whole sidecars in one process: their journals, files and agents are in memory, their link is the real one. Its
 * argument is a file with its settings; its first line of standard output reports that all of them were identified.
 */
import { once } from 'node:events';
import { appendFileSync, readFileSync } from 'node:fs';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { systemIds } from '../../../adapters/ids-system/system-ids.ts';
import { memoryJournal } from '../../product/twins/journal-memory/memory-journal.ts';
import { wsLink } from '../../../adapters/link-ws/ws-link.ts';
import { memoryResultInbox } from '../../product/twins/results-memory/memory-result-inbox.ts';
import { programLog } from '../../../apps/program-log.ts';
import { createSidecar, type Sidecar } from '../../../core/application/sidecar/sidecar.ts';
import { SIDECAR_TIMING } from '../../../core/config/times.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { HubLink } from '../../../core/ports/hub-link.ts';
import type { StopSignal, WakeEvent, WakeRequest, WakeRunner } from '../../../core/ports/wake-runner.ts';

export interface LightSetting {
  /** Ports of the hub, called in turn. */
  readonly ports: readonly number[];
  readonly sidecars: readonly { readonly agentId: string; readonly token: string | undefined }[];
  /** The capabilities that they offer; default `code`. */
  readonly capabilities?: readonly string[] | undefined;
  /** Loopback addresses that they connect from, in turn: one address has too few ports for ten thousand that reconnect. */
  readonly sources: number;
  /** Gets a line `TIME IDENTIFIED` whenever the number of identified sidecars has changed; null for none. */
  readonly countFile: string | null;
}

/** Interval at which the identified sidecars are counted. */
const COUNT_EACH_MS = 50;

const {
  ports,
  sidecars: named,
  capabilities = ['code'],
  sources,
  countFile,
} = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as LightSetting;
const log = programLog('sidecar');
const clock = systemClock();
const ids = systemIds({ clock });
const digest = systemDigest();

let identified = 0;
const released = once(process, 'SIGUSR2');

const sidecars = named.map(({ agentId, token = '' }, n): Sidecar =>
  createSidecar({
    config: {
      hubs: [`ws://127.0.0.1:${ports[n % ports.length]}/ws`],
      agentId,
      name: agentId,
      token,
      capabilities: [...capabilities],
      slots: 1,
      timing: { ...SIDECAR_TIMING, reportRepeat: { firstMs: 1_000, maxMs: 4_000 } },
    },
    link: counted(wsLink({ log, localAddress: `127.0.0.${1 + (n % sources)}` })),
    journal: memoryJournal({ instanceId: `instance-${agentId}` }),
    results: memoryResultInbox({ clock }),
    runner: memoryAgents(clock),
    clock,
    ids,
    digest,
    log: log.with({ agent_id: agentId }),
    stopController: () => new AbortController(),
  }),
);
if (countFile !== null) keepCount(countFile);
await Promise.all(sidecars.map((sidecar) => sidecar.start()));
await Promise.all(sidecars.map((sidecar) => sidecar.ready));
process.stdout.write(`${sidecars.length} sidecars ready\n`);
process.once('SIGTERM', () => {
  void Promise.all(sidecars.map((sidecar) => sidecar.stop())).then(() => process.exit(0));
});

/** Counts the links that the hub has answered `identified` on and that are still open. */
function counted(link: HubLink): HubLink {
  return {
    connect(target, events) {
      let isIdentified = false;
      const end = (): void => {
        if (isIdentified) identified -= 1;
        isIdentified = false;
      };
      const connection = link.connect(target, {
        onOpen: events.onOpen,
        onFrame(text) {
          if (!isIdentified && text.startsWith('{"type":"identified"')) {
            isIdentified = true;
            identified += 1;
          }
          events.onFrame(text);
        },
        onTaken: events.onTaken,
        onGone(code, reason) {
          end();
          events.onGone(code, reason);
        },
      });
      return {
        ...connection,
        destroy() {
          end();
          connection.destroy();
        },
      };
    },
  };
}

function keepCount(file: string): void {
  let reported = -1;
  setInterval(() => {
    if (identified === reported) return;
    reported = identified;
    appendFileSync(file, `${Date.now()} ${identified}\n`);
  }, COUNT_EACH_MS);
}

/** Agents that work as long as the task's text says (`KEY HOW SECONDS`; `KEY hold`: until SIGUSR2) and leave nothing behind. */
function memoryAgents(clock: Clock): WakeRunner {
  async function* work(request: WakeRequest, signal: StopSignal): AsyncGenerator<WakeEvent> {
    yield { type: 'spawned', process: { pid: 1, startTime: request.runId, bootId: 'in memory' } };
    yield { type: 'started' };
    const [, how, seconds = 0] = request.task.description.split(' ');
    await new Promise<void>((resolve) => {
      const timer = how === 'hold' ? null : clock.after((Number(seconds) || 0) * 1_000, resolve);
      if (timer === null) void released.then(() => resolve());
      signal.addEventListener(
        'abort',
        () => {
          timer?.cancel();
          resolve();
        },
        { once: true },
      );
    });
    if (signal.aborted) return yield { type: 'stopped', survivors: [] };
    yield { type: 'completed', output: { generation: request.generation } };
    yield { type: 'exited', exitCode: 0, signal: null, stderrTail: '' };
  }
  return { adoptable: false, wake: work, attach: () => gone() };
}

/** A run of an earlier process is never there: it was in that process's memory. */
async function* gone(): AsyncGenerator<WakeEvent> {
  yield await Promise.resolve({ type: 'exited', exitCode: null, signal: null, stderrTail: '' } as const);
}
