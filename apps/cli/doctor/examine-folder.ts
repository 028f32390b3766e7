/** A data directory: this user can write it, nobody else can read it, and its disk has space. */
import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { modeOfOthers } from '../../../adapters/kit/platform-files.ts';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import { finding, type Finding, type FindingMore } from './finding.ts';

export interface FolderToExamine {
  readonly dataDir: string;
  /** The option that names it. */
  readonly setting: string;
  readonly freeBytesMin: number;
  readonly more: FindingMore;
  /** Default: this system's. */
  readonly platform?: string | undefined;
}

export interface ExaminedFolder {
  /** `missing`: it can be created. */
  readonly state: 'usable' | 'missing' | 'unusable';
  readonly findings: readonly Finding[];
}

const MIB = 1_048_576;

export async function examineFolder({ dataDir, setting, freeBytesMin, more, platform }: FolderToExamine): Promise<ExaminedFolder> {
  const hint = `Give it to the user that runs the program (\`chown\`), or set ${setting} to another folder.`;
  const unusable = (what: string): ExaminedFolder => ({ state: 'unusable', findings: [finding('data_dir', what, { ...more, hint })] });
  const existing = await nearestExisting(dataDir);
  const isThere = existing === dataDir;
  let mode: number;
  let freeBytes: number;
  try {
    const found = await stat(existing);
    if (!found.isDirectory()) return unusable(`${dataDir} cannot be used: ${existing} is not a folder`);
    await access(existing, constants.W_OK | constants.X_OK | (isThere ? constants.R_OK : 0));
    mode = found.mode;
    const { bavail, bsize } = await statfs(existing);
    freeBytes = bavail * bsize;
  } catch (thrown) {
    return unusable(`${dataDir} cannot be ${isThere ? 'written' : 'created'} by this user: ${messageOf(thrown)}`);
  }
  const findings: Finding[] = [];
  if (isThere && modeOfOthers(mode, platform) !== 0) {
    const what = `other users may enter ${dataDir} (mode ${(mode & 0o777).toString(8)}, expected 700)`;
    findings.push(finding('open_to_others', what, { ...more, hint: `chmod 700 ${dataDir}` }));
  }
  if (freeBytes < freeBytesMin) {
    const what = `only ${Math.floor(freeBytes / MIB)} MiB are free on the disk of ${dataDir}`;
    findings.push(finding('disk_full', what, { ...more, hint: `Free disk space: at least ${freeBytesMin / MIB} MiB are needed.` }));
  }
  return { state: isThere ? 'usable' : 'missing', findings };
}

async function nearestExisting(folder: string): Promise<string> {
  for (let at = folder; ; at = dirname(at)) {
    try {
      await stat(at);
      return at;
    } catch (thrown) {
      const code = (thrown as NodeJS.ErrnoException).code;
      // Any other error is the reason why the folder cannot be used.
      if ((code !== 'ENOENT' && code !== 'ENOTDIR') || dirname(at) === at) return at;
    }
  }
}
