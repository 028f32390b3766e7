/**
 * What the author of a wake runner gets: `import { defineWakeRunner, Type } from 'agentcom/plugin'`.
 * The runners of this package are written with exactly this.
 */
import type { Static, TObject } from 'typebox';
import type { ConfigProblem, WakeRunnerChoice, WakeRunnerDeps } from '../core/config/config.ts';
import { AgentcomError } from '../core/errors/agentcom-error.ts';
import { WAKE_RUNNER_CONTRACT, type WakeRunner } from '../core/ports/wake-runner.ts';
import { optionProblems } from './option-problems.ts';
import { adoptRun, GRACE_MS, systemProcessTable, wakeEvents } from './run-kit/index.ts';
import { noteAsked } from './run-kit/process/run-files.ts';
import { stopUnheeded } from './run-kit/process/stop-unheeded.ts';

export type { ConfigProblem, WakeRunnerChoice, WakeRunnerDeps } from '../core/config/config.ts';
export type { AgentId, Generation, TaskId } from '../core/domain/ids.ts';
export { AgentcomError, messageOf, type AgentcomErrorOptions } from '../core/errors/agentcom-error.ts';
export type { Clock, Timer } from '../core/ports/clock.ts';
export type { Log, LogFields } from '../core/ports/log.ts';
export type { ProcessMark } from '../core/domain/assignment/slot.ts';
export {
  WAKE_RUNNER_CONTRACT,
  type AdoptedRun,
  type FailureCause,
  type ModelUsage,
  type RunnerCheck,
  type RunUsage,
  type StopSignal,
  type WaitingFor,
  type WakeEvent,
  type WakeRequest,
  type WakeRunner,
} from '../core/ports/wake-runner.ts';
export * from './run-kit/index.ts';
export { Type, type Static, type TObject, type TSchema } from 'typebox';

/** A value as people may write it: lists and objects may be read-only, and an optional field may be given as undefined. */
export type Given<T> = T extends readonly (infer Item)[]
  ? readonly Given<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: IsOptional<T, Key> extends true ? Given<T[Key]> | undefined : Given<T[Key]> }
    : T;

/** The names of a record are not fields that may be left out, although they look so to the compiler. */
type IsOptional<T, Key extends keyof T> = string extends Key ? false : Record<never, never> extends Pick<T, Key> ? true : false;

/** The options of a runner as its TypeBox schema describes them. */
export type OptionsOf<Schema extends TObject> = Given<Static<Schema>>;

/** What `create` gets: the checked options, and what the sidecar gives to every runner. */
export interface RunnerContext<Options> extends WakeRunnerDeps {
  readonly options: Options;
}

/** A runner as a plugin makes it. One that is not `adoptable` may leave `attach` out: what is left of its runs is then found by run id. */
export type DefinedRunner = Omit<WakeRunner, 'attach'> & Partial<Pick<WakeRunner, 'attach'>>;

export interface WakeRunnerDefinition<Schema extends TObject> {
  /** As logs and the doctor call it. */
  readonly name: string;
  /** The options; the schema is also their type, so that a misspelt one does not compile. Others than these are refused. */
  readonly options: Schema;
  /** Mistakes that the schema cannot see. Asked only about options that fit it. MUST be pure. */
  problems?(options: OptionsOf<Schema>): readonly ConfigProblem[];
  /** Makes the runner; called once, when the sidecar starts. Packages of its own are imported here, not at the top. */
  create(context: RunnerContext<OptionsOf<Schema>>): DefinedRunner | Promise<DefinedRunner>;
}

/** A function that people call in their config. It opens nothing; mistakes in the options are told by `problems`. */
export type WakeRunnerFactory<Schema extends TObject> = (options: OptionsOf<Schema>) => WakeRunnerChoice;

/**
 * Defines a wake runner.
 *
 *     export const beep = defineWakeRunner({
 *       name: 'beep',
 *       options: Type.Object({ times: Type.Integer({ minimum: 1 }) }),
 *       create: ({ options, log }) => new Beeper(options.times, log),
 *     });
 *
 * `create` of the choice fails with `AC_CONFIG_INVALID` when the options have problems, and with `AC_PLUGIN_INVALID`
 * when the definition makes something that is not a runner.
 */
export function defineWakeRunner<Schema extends TObject>(definition: WakeRunnerDefinition<Schema>): WakeRunnerFactory<Schema> {
  return (options) => {
    const problems = (): readonly ConfigProblem[] => {
      const misfits = optionProblems(definition.options, options);
      return misfits.length > 0 ? misfits : (definition.problems?.(options) ?? []);
    };
    return {
      port: 'wake-runner',
      name: definition.name,
      options: options as Readonly<Record<string, unknown>>,
      capabilities: { contract: WAKE_RUNNER_CONTRACT },
      problems,
      async create(deps) {
        refuse(definition.name, problems());
        return completed(definition.name, await definition.create({ ...deps, options }), deps);
      },
    };
  };
}

function refuse(name: string, problems: readonly ConfigProblem[]): void {
  if (problems.length === 0) return;
  const lines = problems.map(({ path, message }) => `  ${path === '' ? 'options' : path}: ${message}`);
  throw new AgentcomError('AC_CONFIG_INVALID', `The options of the wake runner "${name}" have mistakes:\n${lines.join('\n')}`, {
    details: { problems },
  });
}

/** Looks at what was made, since a plugin may be plain JavaScript, and puts in the `attach` that may be left out. */
function completed(name: string, made: DefinedRunner, { clock, log }: WakeRunnerDeps): WakeRunner {
  const found = made as Partial<WakeRunner> | null | undefined;
  const { wake, attach, check, adoptable } = found ?? {};
  if (typeof wake !== 'function' || typeof adoptable !== 'boolean' || (adoptable && typeof attach !== 'function')) {
    const has = found === null || found === undefined ? String(found) : `{ ${Object.keys(found).join(', ')} }`;
    const message = `The wake runner "${name}" is not one: wanted { adoptable: true or false, wake(), attach() where adoptable }, found ${has}.`;
    throw new AgentcomError('AC_PLUGIN_INVALID', `${message} Correct what its create() answers.`);
  }
  const table = systemProcessTable();
  const parts = { clock, log, table };
  const adopt: WakeRunner['attach'] =
    attach?.bind(made) ?? ((run, signal) => wakeEvents((emit, left) => adoptRun({ run, signal, left, graceMs: GRACE_MS, ...parts }, emit)));
  return {
    adoptable,
    wake(request, signal) {
      if (!table.seesRunIds) noteAsked(request.runDir);
      return stopUnheeded(wake.call(made, request, signal), { runId: request.runId, process: null, isWake: true, signal, ...parts });
    },
    attach: (run, signal) => stopUnheeded(adopt(run, signal), { runId: run.runId, process: run.process, isWake: false, signal, ...parts }),
    ...(check === undefined ? {} : { check: check.bind(made) }),
  };
}
