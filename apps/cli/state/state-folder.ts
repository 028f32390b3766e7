/** What commands keep for their user between calls: small JSON files without secrets, each of which may be deleted at any time. */
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';

/** A larger file is not ours, bytes. */
const FILE_BYTES_MAX = 65_536;
const WRITABLE_BY_OTHERS = 0o022;

export interface StateFolder {
  readonly path: string;
  /** Null if there is no such file, or if anybody but this user could have written it. */
  read(name: string): Promise<unknown>;
  /** Replaces the file as a whole. False if it cannot be written: commands work without it. */
  write(name: string, value: unknown): Promise<boolean>;
}

/** `AGENTCOM_STATE_DIR`, else the user's folder for such files; null without a home. */
export function stateFolder(env: Readonly<Record<string, string | undefined>>, platform: string = process.platform): StateFolder | null {
  const path = pathIn(env);
  if (path === null) return null;
  return {
    path,
    read: (name) => readOwn(join(path, name), platform),
    async write(name, value) {
      const { default: writeFileAtomic } = await import('write-file-atomic');
      try {
        await mkdir(path, { recursive: true, mode: 0o700 });
        await writeFileAtomic(join(path, name), `${JSON.stringify(value)}\n`, { mode: 0o600, fsync: false });
        return true;
      } catch {
        return false; // for example, in a read-only home
      }
    },
  };
}

function pathIn(env: Readonly<Record<string, string | undefined>>): string | null {
  const [own, state, home] = [env['AGENTCOM_STATE_DIR'], env['XDG_STATE_HOME'] ?? env['LOCALAPPDATA'], env['HOME']].map(
    (path) => path ?? '',
  );
  if (own !== undefined && own !== '') return own;
  if (state !== undefined && state !== '') return join(state, 'agentcom');
  return home === undefined || home === '' ? null : join(home, '.local', 'state', 'agentcom');
}

/** Another user who can write the file could choose what the next command acts on. */
async function readOwn(file: string, platform: string): Promise<unknown> {
  try {
    const handle = await open(file, 'r');
    try {
      const { mode, uid, size } = await handle.stat();
      const isOwn = platform === 'win32' || ((mode & WRITABLE_BY_OTHERS) === 0 && uid === process.getuid?.());
      return isOwn && size <= FILE_BYTES_MAX ? (JSON.parse(await handle.readFile('utf8')) as unknown) : null;
    } finally {
      await handle.close();
    }
  } catch {
    return null; // missing or truncated: as if nothing was kept
  }
}
