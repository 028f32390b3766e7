/** Trouble with the data folder of a machine: its files refuse the sidecar, and a second sidecar is started on it. */
import { seededIds } from '../../product/twins/ids-seeded/seeded-ids.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import type { MemoryJournal } from '../../product/twins/journal-memory/memory-journal.ts';
import type { MemoryResultInbox } from '../../product/twins/results-memory/memory-result-inbox.ts';
import { createSidecar, type SidecarConfigPart } from '../../../core/application/sidecar/sidecar.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import { countingLog } from '../machines/counting-log.ts';
import type { Surroundings } from '../machines/simulated-surroundings.ts';

export interface FolderTroubleParts {
  readonly world: Surroundings;
  readonly name: string;
  readonly clock: Clock;
  readonly config: SidecarConfigPart;
  /** Of the process that runs, or ran last. */
  readonly journal: () => MemoryJournal;
  readonly results: () => MemoryResultInbox;
  /** The process that holds the journal now; null: none. */
  readonly holder: () => object | null;
}

/** Longer than the interval between two scans of an unreadable folder: each folder can be read in between, and none is given up. */
const BETWEEN_REFUSALS_MS = 15_000;
/** The second attempt shows that the refused process has not removed the lock. */
const SECONDS = 2;

export class FolderTrouble {
  readonly #parts: FolderTroubleParts;
  #refusesUntilMs = -Infinity;

  constructor(parts: FolderTroubleParts) {
    this.#parts = parts;
  }

  /** Nothing can be read, kept, removed or withdrawn for a while. */
  refuse(ms: number): void {
    const { world, results } = this.#parts;
    const nowMs = world.clock.monotonicMs();
    if (nowMs < this.#refusesUntilMs + BETWEEN_REFUSALS_MS) return;
    this.#refusesUntilMs = nowMs + ms;
    world.trace.rare('folders refuse');
    results().refuse(true);
    world.later(ms, () => this.endFaults());
  }

  endFaults(): void {
    this.#parts.results().refuse(false);
  }

  /** An operator starts the sidecar again while one is running. */
  startSecond(): void {
    if (this.#parts.holder() === null) return;
    this.#parts.world.trace.rare('second sidecar on one folder');
    void this.#expectRefused();
  }

  async #expectRefused(): Promise<void> {
    const { world, name, holder } = this.#parts;
    const first = holder();
    for (let time = 1; time <= SECONDS && holder() === first; time += 1) {
      const refusal = await this.#second(time);
      if (refusal !== 'AC_JOURNAL_LOCKED' && holder() === first)
        world.violated('R22', `a second sidecar on the folder of ${name} was not refused by its lock: ${refusal ?? 'it started'}`);
    }
  }

  /** Why it did not start; null: it did. */
  async #second(time: number): Promise<string | null> {
    const { world, name, clock, config, journal, results } = this.#parts;
    const reached = (): never => {
      world.violated('R22', `a second sidecar on the folder of ${name} does what only one may do`);
      throw new Error('nothing is here for a second sidecar');
    };
    const second = journal().reopen();
    const sidecar = createSidecar({
      link: { connect: reached },
      journal: second,
      results: results().reopen(),
      runner: { adoptable: true, wake: reached, attach: reached },
      clock,
      ids: seededIds({ seed: `second ${time} ${name}` }),
      digest: systemDigest(),
      log: countingLog(`${name} again`, world.trace),
      stopController: () => new AbortController(),
      config,
    });
    try {
      await sidecar.start();
      return null;
    } catch (error) {
      return error instanceof AgentcomError ? error.code : String(error);
    } finally {
      second.crash();
    }
  }
}
