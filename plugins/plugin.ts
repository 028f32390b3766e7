/**
 * The API for authors of wake runners: `import { defineWakeRunner, Type } from 'agentcom/plugin'`.
 * The built-in runners use nothing else.
 */
import type { Static, TObject } from 'typebox';
import type { ConfigProblem, WakeRunnerChoice, WakeRunnerDeps } from '../core/config/config.ts';
import { describe, isRecord } from '../core/domain/describe-value.ts';
import { AgentcomError, messageOf } from '../core/errors/agentcom-error.ts';
import { within } from '../core/ports/timing/within.ts';
import { WAKE_RUNNER_CONTRACT, type WakeRequest, type WakeRunner } from '../core/ports/wake-runner.ts';
import { optionProblems } from './option-problems.ts';
import { adoptRun, GRACE_MS, systemProcessTable, wakeEvents } from './run-kit/index.ts';
import { markWakeRequested } from './run-kit/process/run-files.ts';
import { enforceStop } from './run-kit/process/enforce-stop.ts';

export type { AdapterChoice, ConfigProblem, WakeRunnerChoice, WakeRunnerDeps } from '../core/config/config.ts';
export type { AgentId, Generation, TaskId } from '../core/domain/ids.ts';
export { AgentcomError, messageOf, type AgentcomErrorOptions } from '../core/errors/agentcom-error.ts';
export type { ErrorCode } from '../core/errors/codes.ts';
export type { Clock, Timer } from '../core/ports/clock.ts';
export type { Log, LogFields } from '../core/ports/log.ts';
export type { ProcessMark } from '../core/domain/assignment/slot.ts';
export {
  WAKE_RUNNER_CONTRACT,
  type AdoptedRun,
  type FailureCause,
  type RunModelUsage,
  type RunnerCheck,
  type RunUsage,
  type StopSignal,
  type StopSignalShape,
  type WaitReason,
  type WakeEvent,
  type WakeRequest,
  type WakeRunner,
} from '../core/ports/wake-runner.ts';
export * from './run-kit/index.ts';
export { Type, type Static, type TObject, type TSchema } from 'typebox';

/** A value as users may write it: lists and objects may be readonly, and optional fields may be undefined. */
export type OptionsInput<T> = T extends readonly (infer Item)[]
  ? readonly OptionsInput<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: IsOptional<T, Key> extends true ? OptionsInput<T[Key]> | undefined : OptionsInput<T[Key]> }
    : T;

/** Record keys look optional to the compiler, but are not. */
type IsOptional<T, Key extends keyof T> = string extends Key ? false : Record<never, never> extends Pick<T, Key> ? true : false;

/** The options type of a TypeBox schema. */
export type OptionsOf<Schema extends TObject> = OptionsInput<Static<Schema>>;

/** Passed to `create`: the validated options, and what the sidecar provides to every runner. */
export interface RunnerContext<Options> extends WakeRunnerDeps {
  readonly options: Options;
}

/**
 * What a plugin returns. A runner that is not `adoptable` may omit `attach`; what is left of its runs is then found by
 * run id.
 */
export type DefinedRunner = Omit<WakeRunner, 'attach'> & Partial<Pick<WakeRunner, 'attach'>>;

/** What `defineWakeRunner` turns into a runner. */
export interface WakeRunnerDefinition<Schema extends TObject> {
  /** Shown in logs and by the doctor. */
  readonly name: string;
  /** Schema of the options, and their type, so that a misspelled option does not compile. Other options are rejected. */
  readonly options: Schema;
  /** Problems that the schema cannot express. Called only with options that match it. MUST be pure. */
  problems?(options: OptionsOf<Schema>): readonly ConfigProblem[];
  /** Creates the runner; called once, when the sidecar starts. Import optional packages here, not at the top. */
  create(context: RunnerContext<OptionsOf<Schema>>): DefinedRunner | Promise<DefinedRunner>;
}

/**
 * The function that users call in their config. It opens nothing; problems in the options are reported by `problems`.
 */
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
 * Throws `AC_PLUGIN_INVALID` if the definition is invalid. Creating the runner rejects with `AC_CONFIG_INVALID` if the options
 * have problems, and with `AC_PLUGIN_INVALID` if `create` throws, or returns something that is not a runner.
 */
export function defineWakeRunner<Schema extends TObject>(definition: WakeRunnerDefinition<Schema>): WakeRunnerFactory<Schema> {
  assertDefinition(definition);
  return (options) => {
    const problems = (): readonly ConfigProblem[] => {
      const schemaProblems = optionProblems(definition.options, options);
      return schemaProblems.length > 0 ? schemaProblems : (definition.problems?.(options) ?? []);
    };
    return {
      port: 'wake-runner',
      name: definition.name,
      options: options as Readonly<Record<string, unknown>>,
      capabilities: { contract: WAKE_RUNNER_CONTRACT },
      problems,
      async create(deps) {
        assertNoProblems(definition.name, problems());
        return validated(definition.name, await created(definition, { ...deps, options }), deps);
      },
    };
  };
}

/** A plain JSON schema may lack `properties`. */
const isSchema = (options: unknown): boolean => isRecord(options) && options['type'] === 'object' && isRecord(options['properties']);

/** Checked at run time, since a plugin may be plain JavaScript. */
function assertDefinition(given: unknown): void {
  const { name, options, create } = isRecord(given) ? given : {};
  if (typeof name === 'string' && name !== '' && isSchema(options) && typeof create === 'function') return;
  const wanted = `defineWakeRunner wants { name: "…", options: Type.Object({ … }), create() }, found ${shapeOf(given)}${isRecord(options) && !isRecord(options['properties']) ? ', whose options have no properties' : ''}`;
  throw new AgentcomError('AC_PLUGIN_INVALID', `The wake runner ${JSON.stringify(name) ?? 'without a name'} is invalid: ${wanted}.`);
}

/** How long `create` may take, milliseconds. Without a bound, one that never resolves would end the program without a message. */
const CREATE_WITHIN_MS = 30_000;

async function created<Schema extends TObject>(
  definition: WakeRunnerDefinition<Schema>,
  context: RunnerContext<OptionsOf<Schema>>,
): Promise<DefinedRunner> {
  try {
    const creating = Promise.resolve(definition.create(context));
    if (await within(context.clock, CREATE_WITHIN_MS, creating)) return await creating;
  } catch (cause) {
    if (AgentcomError.is(cause)) throw cause;
    throw new AgentcomError(
      'AC_PLUGIN_INVALID',
      `The wake runner "${definition.name}" cannot be created: its create() threw: ${messageOf(cause)}.`,
      {
        cause,
        hint: 'AGENTCOM_DEBUG=1 shows where. Fix it, or the options in sidecar.wake.',
      },
    );
  }
  const found = `its create() did not resolve within ${CREATE_WITHIN_MS / 1_000} s`;
  throw new AgentcomError('AC_PLUGIN_INVALID', `The wake runner "${definition.name}" cannot be created: ${found}.`, {
    hint: 'Fix it: what takes longer belongs into wake().',
  });
}

const shapeOf = (value: unknown): string => (isRecord(value) ? `{ ${Object.keys(value).join(', ')} }` : describe(value));

function assertNoProblems(name: string, problems: readonly ConfigProblem[]): void {
  if (problems.length === 0) return;
  const lines = problems.map(({ path, message }) => `  ${path === '' ? 'options' : path}: ${message}`);
  throw new AgentcomError('AC_CONFIG_INVALID', `The options of the wake runner "${name}" are invalid:\n${lines.join('\n')}`, {
    details: { problems },
  });
}

/** Validates what was created, since a plugin may be plain JavaScript, and adds the optional `attach`. */
function validated(name: string, made: DefinedRunner, { clock, log }: WakeRunnerDeps): WakeRunner {
  const found = made as Partial<WakeRunner> | null | undefined;
  const { wake, attach, check, adoptable } = found ?? {};
  if (typeof wake !== 'function' || typeof adoptable !== 'boolean' || (adoptable && typeof attach !== 'function')) {
    const message = `The wake runner "${name}" is invalid: expected { adoptable: boolean, wake(), attach() if adoptable }, found ${shapeOf(found)}.`;
    throw new AgentcomError('AC_PLUGIN_INVALID', `${message} Fix what its create() returns.`);
  }
  for (const [method, value] of Object.entries({ attach, check })) {
    if (value === undefined || typeof value === 'function') continue;
    const message = `The wake runner "${name}" is invalid: expected ${method}() or no ${method}, found ${describe(value)}.`;
    throw new AgentcomError('AC_PLUGIN_INVALID', `${message} Fix what its create() returns.`);
  }
  const table = systemProcessTable();
  const parts = { clock, log, table };
  const adopt: WakeRunner['attach'] =
    attach?.bind(made) ??
    ((run, signal) => wakeEvents((emit, detachSignal) => adoptRun({ run, signal, detachSignal, graceMs: GRACE_MS, ...parts }, emit)));
  return {
    adoptable,
    wake(request, signal) {
      if (!table.seesRunIds) markWakeRequested(request.runDir);
      return enforceStop(wake.call(made, withOwnTask(request), signal), {
        runId: request.runId,
        process: null,
        isWake: true,
        signal,
        ...parts,
      });
    },
    attach: (run, signal) =>
      enforceStop(adopt(withOwnTask(run), signal), { runId: run.runId, process: run.process, isWake: false, signal, ...parts }),
    ...(check === undefined ? {} : { check: check.bind(made) }),
  };
}

/** A plugin may change what it is given, but the task that the sidecar holds never changes: its journal is built on that. */
const withOwnTask = <Run extends WakeRequest>(run: Run): Run => ({ ...run, task: structuredClone(run.task) });
