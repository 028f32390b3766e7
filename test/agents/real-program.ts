/** What is known of an agent program that is tried. */
import type { AnswerName, Otherwise } from './answers.ts';
import type { NpmProgram } from './install.ts';

/** Where one program runs in one case. */
export interface AgentPlace {
  /** Its file, with PATH as it wants it. */
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

/** US dollars for a million tokens. `input` is without `cached`. */
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
  /** Where it keeps sessions, in its home; undefined: it has none to go on with. */
  readonly sessions?: string;
  /** Why a session that was broken off a moment ago cannot be gone on with, where it cannot. */
  readonly losesFreshSessions?: string;
  /** Why its runs cannot be taken up by another sidecar, where they cannot. */
  readonly notAdoptable?: string;
  /** What the usage of a run that ends well is of: all its calls, those of the work alone, or nothing that could be told. */
  readonly usageOf: 'all' | 'work' | 'nothing';
  /** The same for its dollars, where they are of other calls. */
  readonly dollarsOf?: 'all' | undefined;
  /** Whether it leaves those out that its model thought with. */
  readonly leavesOutThinking?: boolean;
  /** Why the tokens that it tells of subagents and of sessions that are gone on with are not all, where they are not. */
  readonly countsLess?: string;
  /** What it takes for the price of a model of this name; undefined: it tells no dollars. */
  readonly price?: (model: string) => Price;
  /** Whether it tells what it has used before its result, so that a run which is killed counts too. */
  readonly tellsUsageEarly: boolean;
  /** Whether its failures tell that nothing was done yet. */
  readonly tellsWhetherItWorked: boolean;
  /** Answers of its model after which it tries again for longer than anybody waits. */
  readonly triesOnAfter: readonly AnswerName[];
  /** Whether it says that it tries again. */
  readonly tellsRetries: boolean;
  /** What it makes of answers of its model, where that is not what the table says. */
  readonly otherwise?: Readonly<Partial<Record<AnswerName, Otherwise>>>;
  /** What it can have at work in the background. */
  readonly background?: readonly ('shell' | 'subagent')[];
  /** Why its result does not wait for the others, where it has them. */
  readonly forgetsBackground?: string;
  /** Whether it makes its context shorter when its model says that it is too long. */
  readonly compacts?: boolean;
  /** Lays out settings of its own that work by hand: comments in them, a key in a file, a provider that wants no key. */
  readonly ownSettings?: (place: AgentPlace) => Promise<WakeOptions>;
  /** Lays out settings with which it does not start, or does not heed what they forbid. */
  readonly brokenSettings?: (place: AgentPlace) => Promise<WakeOptions>;
  /** Keeps `@path` in a task from putting that file into its prompt, as docs/agents.md says. */
  readonly keepsFilesOut?: (place: AgentPlace) => Promise<WakeOptions>;
  /** Why noise on its standard error cannot be told from its own words, where it cannot. */
  readonly noiseIsLife?: string;
  /** Between two words of it in a run where all is well, milliseconds, with room. */
  readonly idleMs: number;
}
