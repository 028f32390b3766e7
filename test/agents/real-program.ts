/** Known facts about an agent program under test. */
import type { AnswerName, Otherwise } from './answers.ts';
import type { NpmProgram } from './install.ts';

/** Where one program runs in one case. */
export interface AgentPlace {
  /** Its file, with the PATH that it needs. */
  readonly file: string;
  readonly path: string;
  /** Both its own, and empty at first. */
  readonly home: string;
  readonly cwd: string;
  readonly modelUrl: string;
  readonly key: string;
}

export type WakeOptions = Readonly<Record<string, unknown>>;
/** The name of a runner in `agentcom/runners`, and its options. */
export type Wake = readonly [name: string, options: WakeOptions];

/** US dollars per million tokens. `input` excludes `cached`. */
export interface Price {
  readonly input: number;
  readonly cached: number;
  readonly output: number;
}

export interface AgentProgram {
  /** On the command line and in the table. */
  readonly name: string;
  readonly npm: NpmProgram;
  wake(place: AgentPlace): Promise<Wake>;
  /** Where it keeps sessions, in its home; undefined: it cannot resume sessions. */
  readonly sessions?: string;
  /** Why a session interrupted a moment ago cannot be resumed, if so. */
  readonly losesFreshSessions?: string;
  /** Why another sidecar cannot adopt its runs, if so. */
  readonly notAdoptable?: string;
  /** What the usage of a successful run includes: all its calls, those of the work alone, or nothing. */
  readonly usageOf: 'all' | 'work' | 'nothing';
  /** The same for its cost, if that includes other calls. */
  readonly dollarsOf?: 'all' | undefined;
  /** Whether it leaves out thinking tokens. */
  readonly leavesOutThinking?: boolean;
  /** Why the tokens that it reports for subagents and resumed sessions are incomplete, if so. */
  readonly countsLess?: string;
  /** The price that it assumes for a model of this name; undefined: it reports no cost. */
  readonly price?: (model: string) => Price;
  /** Whether it reports its usage before its result, so that a killed run counts too. */
  readonly tellsUsageEarly: boolean;
  /** Whether its failures report that nothing was done yet. */
  readonly tellsWhetherItWorked: boolean;
  /** Answers of its model after which it retries for longer than is acceptable. */
  readonly triesOnAfter: readonly AnswerName[];
  /** Whether it reports that it retries. */
  readonly tellsRetries: boolean;
  /** How it handles answers of its model, if it differs from the table. */
  readonly otherwise?: Readonly<Partial<Record<AnswerName, Otherwise>>>;
  /** What it can run in the background. */
  readonly background?: readonly ('shell' | 'subagent')[];
  /** Why its result does not wait for the other background work, if it has any. */
  readonly forgetsBackground?: string;
  /** Whether it compacts its context when its model says that it is too long. */
  readonly compacts?: boolean;
  /** Prepares settings that work when written by hand: with comments, a key in a file, a provider that needs no key. */
  readonly ownSettings?: (place: AgentPlace) => Promise<WakeOptions>;
  /** Prepares settings with which it does not start, or ignores what they forbid. */
  readonly brokenSettings?: (place: AgentPlace) => Promise<WakeOptions>;
  /** Keeps `@path` in a task from putting that file into its prompt, as docs/agents.md says. */
  readonly keepsFilesOut?: (place: AgentPlace) => Promise<WakeOptions>;
  /** Why noise on its standard error cannot be distinguished from its own output, if so. */
  readonly noiseIsLife?: string;
  /** Longest silence in a healthy run, in milliseconds, with a margin. */
  readonly idleMs: number;
}
