/** What every command gets: its environment, its output and, on request, the hub. */
import type { HubClient } from '../client/index.ts';
import type { Output } from './output/output.ts';
import type { CliEnvironment } from './cli-environment.ts';

/** Options that every command takes. */
export interface CommonOptions {
  readonly json?: boolean | undefined;
  readonly utc?: boolean | undefined;
  readonly url?: string | undefined;
  readonly token?: string | undefined;
  readonly config?: string | undefined;
}

export interface Context {
  readonly environment: CliEnvironment;
  readonly output: Output;
  readonly common: CommonOptions;
  /** Does not connect yet; throws if there is no address or token. */
  hub(): Promise<HubClient>;
  /** Sets the exit code; the default is 0. */
  exitWith(code: number): void;
}

/** What a command does. `context` is built from the options that all commands share. */
export type Run<Args extends readonly unknown[], Options> = (context: Context, options: Options, ...args: Args) => Promise<void>;

/** Adapts a command's function to commander, which passes the arguments, the options and the command. */
export type Action = <Args extends readonly unknown[], Options>(run: Run<Args, Options>) => (...args: unknown[]) => Promise<void>;

/** Adds commands to the program; one function for each group. */
