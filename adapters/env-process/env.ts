/** Reads the environment while a config is evaluated. A variable that is set but empty counts as not set. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

/** How many characters of an invalid value an error message shows. */
const SHOWN_CHARACTERS = 40;
const INTEGER = /^[+-]?\d+$/;

/** Each form throws `AC_ENV_INVALID`, naming the variable, what was expected and what to do. */
export interface Env {
  /** The variable's text; without `fallback` it must be set. */
  (name: string, fallback?: string | undefined): string;
  /** The variable's text, or undefined when it is not set. */
  optional(name: string): string | undefined;
  /** A whole number in decimal digits; without `fallback` it must be set. */
  integer(name: string, fallback?: number | undefined): number;
  /** `true` or `1`, `false` or `0`; without `fallback` it must be set. */
  boolean(name: string, fallback?: boolean | undefined): boolean;
}

/** An `Env` over any source of variables. */
export function envOver(read: (name: string) => string | undefined): Env {
  const optional = (name: string): string | undefined => {
    const value = read(name);
    return value === '' ? undefined : value;
  };
  const text = (name: string, fallback?: string): string => optional(name) ?? fallback ?? missing(name, 'a text');
  return Object.assign(text, {
    optional,
    integer: (name: string, fallback?: number): number => {
      const value = optional(name);
      if (value === undefined) return fallback ?? missing(name, 'a whole number');
      const number = INTEGER.test(value.trim()) ? Number(value) : NaN;
      return Number.isSafeInteger(number) ? number : wrong(name, 'a whole number, such as 4000', value);
    },
    boolean: (name: string, fallback?: boolean): boolean => {
      const value = optional(name)?.trim().toLowerCase();
      if (value === undefined) return fallback ?? missing(name, 'true or false');
      if (value === 'true' || value === '1') return true;
      return value === 'false' || value === '0' ? false : wrong(name, 'true or false', value);
    },
  });
}

/** The environment of this process, read at each call. */
export const env: Env = envOver((name) => process.env[name]);

function missing(variable: string, wanted: string): never {
  throw new AgentcomError(
    'AC_ENV_INVALID',
    `The environment variable ${variable} is not set; expected ${wanted}. Set ${variable}, or use a default in the config.`,
    { details: { variable, wanted } },
  );
}

function wrong(variable: string, wanted: string, found: string): never {
  const shown = JSON.stringify(found.length > SHOWN_CHARACTERS ? `${found.slice(0, SHOWN_CHARACTERS)}…` : found);
  throw new AgentcomError(
    'AC_ENV_INVALID',
    `The environment variable ${variable} is invalid: expected ${wanted}, found ${shown}. Correct ${variable}, or unset it to use the default.`,
    { details: { variable, wanted } },
  );
}
