/** The options of the ACP runner, and the command line built from them. */
import {
  agentOptionProblems,
  argvOf,
  commonAgentOptions,
  maxCostUsdOption,
  maxTurnsOption,
  sessionOption,
  Type,
  type ConfigProblem,
  type OptionsOf,
} from '../plugin.ts';
import { ACP_PRESETS, UNKNOWN_AGENT, type AcpPreset } from './presets.ts';

const kinds = Type.Array(Type.Enum(['read', 'edit', 'delete', 'move', 'search', 'execute', 'think', 'fetch', 'switch_mode', 'other']));

export const acpOptions = Type.Object({
  ...commonAgentOptions,
  /** A known agent. Without it, `bin` says what to start. */
  agent: Type.Optional(Type.Enum(['gemini', 'opencode', 'claude', 'codex'])),
  /** The answer when the agent asks for permission to use a tool. Default `reject`. */
  onPermission: Type.Optional(Type.Enum(['reject', 'allow-once'])),
  /** Kinds of tools that are allowed although `onPermission` is `reject`. */
  allowTools: Type.Optional(kinds),
  /** Kinds of tools that are rejected although `onPermission` is `allow-once`. */
  denyTools: Type.Optional(kinds),
  /** How a result counts if a tool was rejected. Default `complete`; the result names the tools. */
  whenDenied: Type.Optional(Type.Enum(['complete', 'fail'])),
  /** Limit on tool calls; beyond it the run is stopped. */
  maxTurns: maxTurnsOption,
  /** US dollars, if the agent reports its cost; checked whenever it does. */
  maxCostUsd: maxCostUsdOption,
  session: sessionOption,
});

/** Options of `acp()`. */
export type AcpOptions = OptionsOf<typeof acpOptions>;

export const presetOf = ({ agent }: AcpOptions): AcpPreset | null => (agent === undefined ? null : ACP_PRESETS[agent]);

/** The preset, or the defaults for any agent. */
export const traitsOf = (options: AcpOptions): Omit<AcpPreset, 'program' | 'minVersion'> => presetOf(options) ?? UNKNOWN_AGENT;

export function acpProblems(options: AcpOptions): readonly ConfigProblem[] {
  const { agent, bin, model, maxCostUsd, allowTools = [], denyTools = [] } = options;
  const both = allowTools.filter((kind) => denyTools.includes(kind));
  return [
    ...agentOptionProblems(options, traitsOf(options).ownFlags),
    ...(agent === undefined && bin === undefined
      ? [{ path: 'agent', message: `is required, one of ${Object.keys(ACP_PRESETS).join(', ')}; or name a program in bin` }]
      : []),
    ...(agent === 'opencode' && model === undefined
      ? [{ path: 'model', message: 'is required for opencode, which may choose a hosted service otherwise' }]
      : []),
    ...((agent === 'codex' || agent === 'gemini') && maxCostUsd !== undefined
      ? [{ path: 'maxCostUsd', message: `cannot be enforced: ${agent} does not report its cost` }]
      : []),
    ...both.map((kind) => ({ path: 'denyTools', message: `has "${kind}", which allowTools has too` })),
  ];
}

/**
 * What to start: the program, the arguments that make it speak the protocol, its model if that is a flag, and
 * `extraArgs`.
 */
export function acpArgv(options: AcpOptions): readonly string[] {
  const { args, modelFlag } = traitsOf(options);
  const { bin, model, extraArgs = [] } = options;
  const modelArgs = modelFlag === undefined || model === undefined ? [] : [modelFlag, model];
  return [...argvOf(bin, presetOf(options)?.program ?? ''), ...args, ...modelArgs, ...extraArgs];
}

/** Variables to set, and names of those to pass on. */
export const acpVariables = (options: AcpOptions) => {
  const { env, variables } = traitsOf(options);
  return { env: { ...env, ...options.env }, passEnv: [...variables, ...(options.passEnv ?? [])] };
};

/** The model to select through the session's own option. */
export const modelOfSession = (options: AcpOptions): string | null =>
  traitsOf(options).modelFlag === undefined ? (options.model ?? null) : null;
