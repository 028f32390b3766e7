/** Finds the config file; reads nothing. */
import { closeSync, existsSync, openSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

/** Looked for in the current folder, in this order. A parent folder's is not used: it could be anybody's program. */
const FILE_NAMES = ['agentcom.config.ts', 'agentcom.config.js', 'agentcom.config.mjs'];

/** Absolute. Throws `AC_CONFIG_NOT_FOUND`, or `AC_CONFIG_INVALID` if this user may not read it. */
export function findConfigFile(named: string | undefined, cwd: string): string {
  if (named !== undefined) {
    const file = resolve(cwd, named);
    if (existsSync(file)) return readable(file);
    throw new AgentcomError('AC_CONFIG_NOT_FOUND', `The config file ${file} does not exist.`, {
      hint: 'Correct --config.',
      details: { file },
    });
  }
  const found = FILE_NAMES.map((name) => resolve(cwd, name)).find((file) => existsSync(file));
  if (found !== undefined) return readable(found);
  throw new AgentcomError('AC_CONFIG_NOT_FOUND', `There is no ${FILE_NAMES.slice(0, -1).join(', ')} or ${FILE_NAMES.at(-1)} in ${cwd}.`, {
    hint: 'Change to the folder that has one, pass --config FILE, or write one with "agentcom init".',
    details: { cwd },
  });
}

function readable(file: string): string {
  if (statSync(file).isDirectory()) {
    throw new AgentcomError('AC_CONFIG_NOT_FOUND', `Expected a config file, found the folder ${file}.`, {
      hint: 'Pass a file to --config.',
      details: { file },
    });
  }
  try {
    closeSync(openSync(file, 'r'));
  } catch (cause) {
    throw new AgentcomError('AC_CONFIG_INVALID', `This user may not read the config file ${file}.`, {
      cause,
      hint: 'Run this as the user that the file belongs to, or let this user read it.',
      details: { file },
    });
  }
  return file;
}
