/** The files of the dashboard, read once: a request for one never touches the disk. */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';

export interface DashboardFile {
  readonly contentType: string;
  readonly etag: string;
  readonly plain: Uint8Array;
  /** Compressed by the build; undefined if that did not make it smaller. */
  readonly brotli: Uint8Array | undefined;
  readonly gzip: Uint8Array | undefined;
}

/** By name, such as `app.js`. */
export type DashboardFiles = ReadonlyMap<string, DashboardFile>;

/** More than the build produces; a folder that exceeds a limit is not the dashboard. */
const FILES_MAX = 32;
const BYTES_MAX = 4_194_304;
const ETAG_CHARACTERS = 20;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml; charset=utf-8',
};

/** The files in `folder`; null if it does not exist or has no page. Throws `AC_INTERNAL` if it has more than a dashboard can have. */
export async function readDashboard(folder: string): Promise<DashboardFiles | null> {
  const names = await namesIn(folder);
  if (!names.includes('index.html')) return null;
  if (names.length > FILES_MAX) throw tooMuch(folder, `${names.length} files, at most ${FILES_MAX}`);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  if (bytes > BYTES_MAX) throw tooMuch(folder, `${bytes} bytes, at most ${BYTES_MAX}`);
  const files = new Map<string, DashboardFile>();
  for (const name of names) {
    const contentType = TYPES[extname(name)];
    if (contentType === undefined) continue;
    const part = async (suffix: string): Promise<Uint8Array | undefined> =>
      names.includes(`${name}${suffix}`) ? readFile(join(folder, `${name}${suffix}`)) : undefined;
    const [plain, brotli, gzip] = [await readFile(join(folder, name)), await part('.br'), await part('.gz')];
    const etag = createHash('sha256').update(plain).digest('hex').slice(0, ETAG_CHARACTERS);
    files.set(name, { contentType, etag, plain, brotli, gzip });
  }
  return files;
}

const namesIn = (folder: string): Promise<readonly string[]> =>
  readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });

const tooMuch = (folder: string, found: string): AgentcomError =>
  new AgentcomError('AC_INTERNAL', `The folder of the dashboard, ${folder}, has ${found}. Run: npm run build`);
