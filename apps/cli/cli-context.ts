/** What every command gets: its surroundings, its output and, when it asks for it, the hub. */
import type { HubClient } from '../client/index.ts';
import type { Output } from './output/output.ts';
import type { Surroundings } from './cli-environment.ts';

/** Options that every command takes. */
export interface CommonOptions {
  readonly json?: boolean | undefined;
  readonly url?: string | undefined;
  readonly token?: string | undefined;
  readonly config?: string | undefined;
}

export interface Context {
  readonly surroundings: Surroundings;
  readonly output: Output;
  readonly common: CommonOptions;
  /** Connects nothing yet; throws when there is no address or token. */
  hub(): Promise<HubClient>;
  /** What the program shall end with; 0 unless said. */
  exitWith(code: number): void;
}

/** What a command does. `context` is made for it from the options that all have. */
export type Run<Args extends readonly unknown[], Options> = (context: Context, options: Options, ...args: Args) => Promise<void>;

/** Binds a command's action: commander's arguments, options and command in, ours out. */
export type Action = <Args extends readonly unknown[], Options>(run: Run<Args, Options>) => (...args: unknown[]) => Promise<void>;

/** Adds commands to the program; one function for each group. */
