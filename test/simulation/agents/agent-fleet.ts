/** The agents of one machine: they outlive the sidecar process that woke them, and the ledger records each of their runs. */
import { scriptedRunner, type ScriptedRunner } from '../../product/twins/runner-scripted/scripted-runner.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { RunnerCheck, StopSignal, WakeEvent, WakeRequest, WakeRunner } from '../../../core/ports/wake-runner.ts';
import { agentScript } from './simulated-agents.ts';
import { placed, type Chance } from '../seeded-chance.ts';
import { isOddWord, mischiefScript, type Breaking } from './mischief.ts';
import { hugeScript } from './huge-words.ts';
import type { Life } from '../runner/world-life.ts';
import { awayScript } from './service-away.ts';
import type { Surroundings } from '../machines/simulated-surroundings.ts';

/** The share of runner checks that fail, as a share of the machine's bad agents. */
const CHECKS_FAIL = 0.2;

export interface AgentFleetOptions {
  readonly world: Surroundings;
  readonly machine: string;
  readonly clock: Clock;
  readonly adoptable: boolean;
  readonly chance: Chance;
  readonly write: (request: WakeRequest, file: string, text: string) => void;
}

export class AgentFleet {
  readonly #options: AgentFleetOptions;
  readonly #runner: ScriptedRunner;
  readonly #inability: Chance;
  readonly #mischief: Chance;
  readonly #huge: Chance;
  readonly #away: Chance;
  readonly #breaking: Breaking = new Map();

  constructor(options: AgentFleetOptions) {
    this.#options = options;
    const { world, machine, clock, chance, adoptable, write } = options;
    this.#inability = world.chanceOf(`${machine} inability`);
    this.#mischief = world.chanceOf(`${machine} mischief`);
    this.#huge = world.chanceOf(`${machine} huge`);
    this.#away = world.chanceOf(`${machine} away`);
    this.#runner = scriptedRunner({
      clock,
      adoptable,
      script: (request) => {
        const deps = {
          chance,
          faults: () => world.faults,
          write,
          finished: (of: WakeRequest, marker: string) => world.ledger.finished(of, marker),
          spoke: (of: WakeRequest) => world.ledger.ending(of),
          rare: (what: string) => world.trace.rare(what),
          used: (of: WakeRequest, tokens: number) => world.ledger.used(of, tokens),
        };
        const script =
          (world.isServiceAway ? awayScript(request, { ...deps, away: this.#away }) : null) ??
          hugeScript(request, { ...deps, huge: this.#huge, hugeWords: () => world.faults.hugeWords ?? 0 }) ??
          mischiefScript(request, { ...deps, mischief: this.#mischief, breaking: this.#breaking }) ??
          agentScript(request, { ...deps, inability: this.#inability });
        if (script.refuses === undefined) this.#spawned(request);
        return script;
      },
    });
  }

  #spawned(request: WakeRequest): void {
    const { world, machine } = this.#options;
    world.trace.add(machine, `wakes ${request.taskId}.g${request.generation} as ${request.runId}`);
    const { taskId, generation, runId, agentId } = request;
    const lives = (): boolean => this.#runner.living().includes(runId);
    world.ledger.spawned({ taskId, generation, runId, agentId, machine, lives });
  }

  living(): readonly string[] {
    return this.#runner.living();
  }

  killAll(): void {
    for (const runId of this.#runner.living()) this.#end(runId);
  }

  killOne(place: number): void {
    const living = this.#runner.living();
    if (living.length > 0) this.#end(placed(living, place));
  }

  #end(runId: string): void {
    const { world, machine } = this.#options;
    world.trace.add(machine, `${runId} is killed`);
    world.trace.rare('agent killed');
    this.#runner.end(runId);
  }

  /** Whether its agents could run: a check that fails now passes later. */
  async #check(): Promise<readonly RunnerCheck[]> {
    const { world } = this.#options;
    const ok = !this.#inability.is(world.faults.badAgents * CHECKS_FAIL);
    if (!ok) world.trace.rare('checks fail');
    return [{ check: 'login', ok, message: ok ? 'logged in' : 'not logged in' }];
  }

  /** Whether the stream breaks is known once the script was chosen, which is when it is listened to. */
  #asItBreaks({ runId }: WakeRequest, events: AsyncIterable<WakeEvent>): AsyncIterable<WakeEvent> {
    const breaking = this.#breaking;
    return {
      async *[Symbol.asyncIterator]() {
        const iterator = events[Symbol.asyncIterator]();
        try {
          for (let reported = 0; ; reported += 1) {
            const next = await iterator.next();
            if (next.done === true) return;
            const wrong = breaking.get(runId);
            if (wrong !== undefined && 'breaksAfter' in wrong && reported >= wrong.breaksAfter) {
              wrong.broke = true;
              throw new Error('planned: the runner broke');
            }
            yield wrong !== undefined && 'says' in wrong && isOddWord(next.value) ? (wrong.says as WakeEvent) : next.value;
          }
        } finally {
          await iterator.return?.();
        }
      },
    };
  }

  /** The runner as seen by one sidecar process: its streams end with the process, its runs do not. */
  runnerFor(life: Life): WakeRunner {
    const runner = this.#runner;
    const follow = (request: WakeRequest, signal: StopSignal, events: AsyncIterable<WakeEvent>): AsyncIterable<WakeEvent> => {
      const { ledger } = this.#options.world;
      if (signal.aborted) ledger.ending(request);
      else signal.addEventListener('abort', () => ledger.ending(request), { once: true });
      return mortalStream(events, life);
    };
    return {
      adoptable: runner.adoptable,
      wake: (request, signal) => follow(request, signal, this.#asItBreaks(request, runner.wake(request, signal))),
      attach: (run, signal) => follow(run, signal, runner.attach(run, signal)),
      check: () => life.gate(this.#check()),
    };
  }
}

/** A stream whose listener may die. */
function mortalStream(events: AsyncIterable<WakeEvent>, life: Life): AsyncIterable<WakeEvent> {
  return {
    [Symbol.asyncIterator]() {
      const inner = events[Symbol.asyncIterator]();
      const leave = (): Promise<IteratorResult<WakeEvent>> => inner.return?.() ?? Promise.resolve({ done: true, value: undefined });
      life.onEnd(() => void leave());
      return {
        next: () => life.gate(inner.next()),
        return: () => life.gate(leave()),
      };
    },
  };
}
