/**
 * What a service manager should run, and what it needs for that: texts and command lines only, so that the unit of any platform can be made on
 * any other.
 */

export interface ServicePlan {
  readonly part: 'hub' | 'sidecar';
  /** Its name for the service manager: letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** One line, for people. */
  readonly description: string;
  readonly argv: readonly string[];
  /** The folder of the config. */
  readonly folder: string;
  readonly dataDir: string;
  /** `hub.archiveDir`. */
  readonly archiveDir: string | null;
  readonly environment: Readonly<Record<string, string>>;
  /** The user it runs as, from the start of the machine; null: it runs as the user who installs it, from login. */
  readonly runAs: string | null;
}

/** Where it writes, apart from the folder of the config. */
export const foldersOf = ({ dataDir, archiveDir }: ServicePlan): readonly string[] => [
  ...new Set(archiveDir === null ? [dataDir] : [dataDir, archiveDir]),
];

/** The user who installs it. */
export interface Installer {
  readonly home: string;
  readonly uid: number;
  readonly userName: string;
  /** `XDG_CONFIG_HOME`. */
  readonly configHome?: string | undefined;
}

type CommandLine = readonly [program: string, ...args: string[]];

export interface ServiceUnit {
  /** Its path. */
  readonly file: string;
  readonly text: string;
  readonly encoding: 'utf8' | 'utf16le';
  /** Folders that must exist before it starts, since the service may not create them. */
  readonly folders: readonly string[];
  /** A folder that `install` makes if it is missing, since the service manager opens its log there. */
  readonly logFolder: string | null;
  /**
   * Stops what an earlier install started, before it is replaced or removed; it may fail, since that may not be running. Null: `install` and
   * `uninstall` stop it.
   */
  readonly stop: CommandLine | null;
  /** Fails once the service has stopped, if `stop` does not wait for that. */
  readonly isLoaded: CommandLine | null;
  /** Commands to run after the file is written. */
  readonly install: readonly CommandLine[];
  /** Commands to run before the file is removed; they may fail, for example if there is no such service. */
  readonly uninstall: readonly CommandLine[];
  readonly afterUninstall: readonly CommandLine[];
  /** Prints its state, and exits with 0 if it runs. */
  readonly status: CommandLine;
  /** What is left to do by hand. */
  readonly notes: readonly string[];
}

/** Marks our files, so that no other program's file is ever replaced or removed. */
export const WRITTEN_BY = 'Written by: agentcom service install';

const XML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' };

export const escapedForXml = (text: string): string => text.replace(/[&<>"']/g, (character) => XML[character] as string);
