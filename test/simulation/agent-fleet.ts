/** The agents of one machine: they outlive the sidecar process that woke them, and the ledger knows each of their runs. */
import { scriptedRunner, type ScriptedRunner } from '../../adapters/runner-scripted/scripted-runner.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { RunnerCheck, StopSignal, WakeEvent, WakeRequest, WakeRunner } from '../../core/ports/wake-runner.ts';
import { agentScript } from './agents.ts';
import { placed, type Chance } from './chance.ts';
import type { Life } from './life.ts';
import type { Surroundings } from './surroundings.ts';

/** Of looks whether the agents of a machine could run, as a share of its bad agents. */
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

  constructor(options: AgentFleetOptions) {
    this.#options = options;
    const { world, machine, clock, chance, adoptable, write } = options;
    this.#inability = world.chanceOf(`${machine} inability`);
    this.#runner = scriptedRunner({
      clock,
      adoptable,
      script: (request) => {
        const script = agentScript(request, {
          chance,
          inability: this.#inability,
          faults: () => world.faults,
          write,
          finished: (of, marker) => world.ledger.finished(of, marker),
          spoke: (of) => world.ledger.ending(of),
          rare: (what) => world.trace.rare(what),
          used: (of, tokens) => world.ledger.used(of, tokens),
        });
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

  /** Whether its agents could run: a look that fails now passes later. */
  async #check(): Promise<readonly RunnerCheck[]> {
    const { world } = this.#options;
    const ok = !this.#inability.is(world.faults.badAgents * CHECKS_FAIL);
    if (!ok) world.trace.rare('checks fail');
    return [{ check: 'login', ok, message: ok ? 'logged in' : 'not logged in' }];
  }

  /** The runner as one sidecar process has it: what it listens to ends with it, its runs do not. */
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
      wake: (request, signal) => follow(request, signal, runner.wake(request, signal)),
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
