/**
 * Hides the sidecar's secrets from other readers of its environment. An agent runs as the same user, so it can read
 * `/proc/PID/environ` of its sidecar, which shows the environment as of the start of the program.
 */
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { Log } from '../../core/ports/log.ts';
import { isSecretName, passwordOf } from './sidecar-secrets.ts';

/** Known only to the sidecar and its hub: these variables are also removed once they have been read. */
const OWN_NAMES = ['AGENTCOM_TOKEN', 'AGENTCOM_ENROL_SECRET', 'AGENTCOM_ADMIN_TOKEN'] as const;
/** A larger environment is left unchanged, bytes; Linux allows a quarter of the stack, 2 MiB. */
const ENVIRONMENT_BYTES_MAX = 8_388_608;
/** Positions of `env_start` and `env_end` in `/proc/PID/stat`, after the program's name, which ends with `)`. */
const ENV_START = 47;
const ENV_END = 48;

/**
 * Overwrites secrets in the initial environment of this process; `known` are values that count as secrets whatever their names. The variables
 * keep their values. If this is not possible, logs a warning about tokens there, with what to do.
 */
export function hideEnvironment(log: Log, known: readonly string[], platform: string = process.platform): void {
  const names = Object.entries(process.env).flatMap(([name, value = '']) => (isSecret(name, value, known) ? [name] : []));
  if (names.length === 0) return;
  // Moves each value to new memory, so that nothing uses the initial environment any more.
  for (const name of names) process.env[name] = String(process.env[name]);
  try {
    if (platform !== 'linux') throw new Error(`not possible on ${platform}`);
    blotOut(new Set(names));
  } catch (thrown) {
    const own = names.filter((name) => (OWN_NAMES as readonly string[]).includes(name) || known.includes(process.env[name] ?? ''));
    if (own.length === 0) return;
    log.warn('agents of this user can read tokens in the environment of the sidecar', {
      variables: own,
      error: messageOf(thrown),
      hint: 'write the token to the file "token" in the data directory, mode 0600, unset the variable, and run the agent as another user',
    });
  }
}

/** Keeps them from every child process. */
export function dropOwnVariables(): void {
  for (const name of OWN_NAMES) Reflect.deleteProperty(process.env, name);
}

const isSecret = (name: string, value: string, known: readonly string[]): boolean =>
  value !== '' && (isSecretName(name) || passwordOf(value) !== null || known.some((secret) => secret !== '' && value.includes(secret)));

/** Overwrites the values of these variables with zeros where the kernel shows them. */
function blotOut(names: ReadonlySet<string>): void {
  const stat = readFileSync('/proc/self/stat', 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const start = Number(fields[ENV_START]);
  const length = Number(fields[ENV_END]) - start;
  if (!Number.isSafeInteger(start) || start <= 0 || !(length > 0 && length <= ENVIRONMENT_BYTES_MAX))
    throw new Error('cannot locate it in memory');
  const memory = openSync('/proc/self/mem', 'r+');
  try {
    const text = Buffer.alloc(length);
    if (readSync(memory, text, 0, length, start) !== length) throw new Error('cannot read its memory');
    for (let at = 0; at < length;) {
      const zero = text.indexOf(0, at);
      const end = zero === -1 ? length : zero;
      const equals = text.indexOf('=', at);
      if (equals !== -1 && equals < end && names.has(text.toString('utf8', at, equals)) && equals + 1 < end) {
        writeSync(memory, Buffer.alloc(end - equals - 1), 0, end - equals - 1, start + equals + 1);
      }
      at = end + 1;
    }
  } finally {
    closeSync(memory);
  }
}
