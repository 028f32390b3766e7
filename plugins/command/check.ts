/** Checks whether the command runner could start its program. Starts nothing. */
import { stat } from 'node:fs/promises';
import { findProgram, shownPath, type RunnerCheck } from '../plugin.ts';

export interface CheckedCommand {
  readonly argv: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly passEnv?: readonly string[] | undefined;
}

export const checkCommand = async (checked: CheckedCommand): Promise<readonly RunnerCheck[]> => [
  await checkFolder(checked),
  await checkProgram(checked),
  ...(checked.passEnv ?? []).map(checkPassed),
];

async function checkFolder({ cwd }: CheckedCommand): Promise<RunnerCheck> {
  const isFolder = await stat(cwd).then(
    (found) => found.isDirectory(),
    () => false, // Whatever the reason, a program cannot be started in it.
  );
  if (!isFolder) return { check: 'cwd', ok: false, message: `"${cwd}" is not a folder.`, hint: 'Create it or change cwd.' };
  return { check: 'cwd', ok: true, message: cwd };
}

async function checkProgram({ argv, cwd, env }: CheckedCommand): Promise<RunnerCheck> {
  const program = argv[0] ?? '';
  const path = env?.['PATH'] ?? process.env['PATH'];
  const found = await findProgram({ program, cwd, path });
  const check = 'program';
  switch (found.kind) {
    case 'found':
      return { check, ok: true, message: found.file };
    case 'not_executable':
      return { check, ok: false, message: `"${found.file}" is not an executable file.`, hint: 'Make it executable or correct argv[0].' };
    case 'missing':
      return {
        check,
        ok: false,
        message: `There is no "${program}" in "${cwd}" or on PATH.`,
        hint: `Install it or correct argv[0]. ${shownPath(path)}`,
      };
  }
}

/** Many programs work without an optional variable, so an unset one does not fail the check. */
function checkPassed(name: string): RunnerCheck {
  const isSet = process.env[name] !== undefined;
  const message = isSet
    ? `${name} is set`
    : `${name} is not set for the sidecar, so the program does not get it; set it if the program needs it`;
  return { check: 'passEnv', ok: true, message };
}
