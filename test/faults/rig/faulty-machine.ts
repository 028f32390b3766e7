/** A machine with the real sidecar on it: its journal and its files are real, its agents are scripts, its network is in memory. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileJournal } from '../../../adapters/journal-file/file-journal.ts';
import { filesResultInbox } from '../../../adapters/results-files/files-result-inbox.ts';
import { seededIds } from '../../product/twins/ids-seeded/seeded-ids.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { heedingLog } from '../../simulation/machines/counting-log.ts';
import { memoryLog, type MemoryLog } from '../../product/twins/log-memory/memory-log.ts';
import type { VirtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import type { MemoryWire } from '../../product/twins/wire-memory/memory-wire.ts';
import { createSidecar, type Sidecar } from '../../../core/application/sidecar/sidecar.ts';
import { SIDECAR_TIMING, type SidecarTiming } from '../../../core/config/times.ts';
import type { HubLink, LinkConnection } from '../../../core/ports/hub-link.ts';
import type { Journal } from '../../../core/ports/journal.ts';
import { Life, mortal, processClock } from '../../simulation/runner/world-life.ts';
import { Agents } from './faulty-agents.ts';
import type { IdleWatch } from './until-idle.ts';
import { Disk } from './disk.ts';
import type { Evidence } from './evidence.ts';
import { failingInbox, type InboxFaults } from './inbox-faults.ts';

const TIMING: SidecarTiming = { ...SIDECAR_TIMING, wakeRetriesMs: [500, 1_000], reportRepeat: { firstMs: 2_000, maxMs: 8_000 } };
/** The mark of a dead process: no system counts this far. */
const DEAD_HOLDER = `${JSON.stringify({ pid: 2 ** 22 + 1, startTime: '1', bootId: null, id: 'dead' })}\n`;
/** The network is silent for this long after a cut. */
const REFUSED_MS = 10;

export interface MachineDeps {
  readonly agentId: string;
  readonly slots: number;
  readonly token: string;
  readonly dataDir: string;
  readonly clock: VirtualClock;
  readonly wire: MemoryWire;
  readonly idle: IdleWatch;
  readonly evidence: Evidence;
}

export class Machine {
  readonly disk: Disk;
  readonly inboxFaults: InboxFaults;
  readonly agents: Agents;
  readonly log: MemoryLog = memoryLog();
  readonly #deps: MachineDeps;
  #running: { readonly life: Life; readonly sidecar: Sidecar; readonly journal: Journal } | null = null;
  #starts = 0;
  #isCut = false;
  #cutLink: () => void = () => undefined;

  constructor(deps: MachineDeps) {
    this.#deps = deps;
    this.disk = new Disk(deps.dataDir);
    this.disk.onDeath = () => this.#die(this.disk.fault === 'power');
    this.inboxFaults = failingInbox();
    this.agents = new Agents(deps.clock, deps.evidence);
  }

  get dataDir(): string {
    return this.#deps.dataDir;
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  /** Starts the sidecar; if it cannot start, it ends, as its program would, and the next `start` tries again. */
  async start(): Promise<void> {
    if (this.#running !== null) return;
    const { dataDir, clock, idle, agentId, slots, token, evidence } = this.#deps;
    const life = new Life(clock);
    this.#starts += 1;
    const own = processClock(clock, life);
    const journal = fileJournal({ dataDir, clock: own, log: this.log, files: this.disk.files });
    const inbox = filesResultInbox({
      dataDir,
      clock: own,
      log: this.log,
      resultStillMs: TIMING.resultStillMs,
      // Watchers report at arbitrary times; the clock moves the listing every five seconds.
      watch: () => ({ close: () => Promise.resolve() }),
    });
    const sidecar = createSidecar({
      link: this.#link(life),
      journal: mortal(idle.watching(journal, life), life),
      results: mortal(idle.watching(this.inboxFaults.around(inbox), life), life),
      runner: this.agents.runnerFor(life),
      clock: own,
      ids: seededIds({ seed: `${agentId} ${this.#starts}` }),
      digest: systemDigest(),
      log: heedingLog(this.log, (what) => evidence.violate('sidecar', `${agentId} broke an internal rule: ${what}`)),
      stopController: () => new AbortController(),
      config: { hubs: ['ws://hub:4000/ws'], agentId, name: agentId, token, capabilities: [], slots, timing: TIMING },
    });
    life.onEnd(() => void inbox.close());
    this.#running = { life, sidecar, journal };
    sidecar.finished.catch((error: unknown) => evidence.violate('sidecar', `${agentId} broke an internal rule: ${String(error)}`));
    let isFailed = false;
    sidecar.start().catch(() => (isFailed = true));
    await idle.wait();
    if (isFailed && !life.isOver) this.kill();
  }

  /** Like kill -9: its agents continue. */
  kill(): void {
    this.#die(false);
  }

  /** Like SIGTERM. */
  async stop(): Promise<void> {
    const running = this.#running;
    if (running === null) return;
    let isStopped = false;
    void running.sidecar.stop().then(() => (isStopped = true));
    await this.#deps.idle.wait();
    // It waits for its last answers, by the clock.
    const isAlive = (): boolean => this.#running === running;
    for (let turns = 0; !isStopped && isAlive() && turns < 20; turns += 1) await this.#deps.clock.walk(1_000, this.#deps.idle.wait);
    // A sidecar that was killed, or lost its power, during its stop is like any other killed one.
    if (!isAlive()) return;
    if (!isStopped) this.#deps.evidence.violate('sidecar', `${this.#deps.agentId} did not stop within 20 s`);
    this.kill();
  }

  #die(isPowerLost: boolean): void {
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    running.life.end();
    this.#cutLink();
    if (isPowerLost) {
      this.agents.killAll();
      this.disk.losePower();
    }
    for (const name of readdirSync(this.#deps.dataDir))
      if (/^lock($|\.)/.test(name)) writeFileSync(join(this.#deps.dataDir, name), DEAD_HOLDER);
  }

  /** From now on nothing reaches the hub, until `join`. */
  cut(): void {
    this.#isCut = true;
    this.#cutLink();
  }

  join(): void {
    this.#isCut = false;
  }

  /** The files in a folder of its data directory: name → text. */
  filesIn(folder: 'outbox' | 'refused'): ReadonlyMap<string, string> {
    const path = join(this.#deps.dataDir, folder);
    return new Map(readdirSync(path).map((name) => [name, readFileSync(join(path, name), 'utf8')]));
  }

  #link(life: Life): HubLink {
    const { wire, clock, evidence, agentId } = this.#deps;
    return {
      connect: (target, events) => {
        const gone = (reason: string): void => life.arrive(() => events.onGone(1006, reason));
        if (this.#isCut) {
          clock.after(REFUSED_MS, () => gone('refused'));
          return { send: () => false, bufferedBytes: () => 0, destroy: () => undefined };
        }
        let isOver = false;
        const link: LinkConnection = wire.link().connect(target, {
          onOpen: () => life.arrive(() => events.onOpen()),
          onFrame: (text) => {
            if (!life.isOver) evidence.receives(agentId, text);
            life.arrive(() => events.onFrame(text));
          },
          onTaken: () => life.arrive(() => events.onTaken()),
          onGone: (code, reason) => life.arrive(() => events.onGone(code, reason)),
        });
        this.#cutLink = () => {
          if (isOver) return;
          isOver = true;
          link.destroy();
          gone('cut');
        };
        return {
          send: (text) => {
            evidence.sends(text, this.disk);
            return link.send(text);
          },
          bufferedBytes: () => link.bufferedBytes(),
          destroy: () => {
            isOver = true;
            link.destroy();
          },
        };
      },
    };
  }
}
