/** The secrets that a sidecar knows: of its config, of its environment, and its token. What its agent says of them is blotted out. */
import type { ResolvedSidecarConfig } from '../../core/config/config.ts';

/** What a name such as API_KEY, githubToken or Authorization says of its value. */
const SECRET_NAME = /(?:token|secret|passw(?:or)?d|passphrase|credentials?|authorization|api_?key|_key|Key|_pat|^key)$|secret|password/i;
/** Names of `env` whose values stand in results for other reasons. */
const PLAIN_NAME =
  /(?:^|_)(?:PATH|HOME|DIR|FOLDER|FILE|MODEL|LANG|SHELL|TERM|ENV|MODE|LEVEL|HOST|REGION|TZ|USER|NAME|EMAIL|URL|EDITOR|VERSION)$/;
/** A shorter value of a name that says "secret", and of any other name in `env`, stands in too many texts by chance. Characters. */
const NAMED_CHARACTERS_MIN = 6;
const SECRET_CHARACTERS_MIN = 8;
/** How deep the options of a wake runner are looked into. */
const OPTIONS_DEPTH_MAX = 6;
/** The password of an address: `postgres://user:HERE@host`. */
const ADDRESS_PASSWORD = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@:]*:([^\s/?#@]+)@/i;
/** `Authorization: Bearer HERE` */
const SCHEME = /^(?:Bearer|Basic|Token)\s+(\S+)$/i;

type Variables = Readonly<Record<string, string | undefined>>;

export const isSecretName = (name: string): boolean => SECRET_NAME.test(name);

/** The password inside of an address; null when the text is none, or has none. */
export const passwordOf = (text: string): string | null => ADDRESS_PASSWORD.exec(text)?.[1] ?? null;

/** Of the config, its wake runner's `env` and options, and the environment of this process. */
export function secretsOf({ wake }: Pick<ResolvedSidecarConfig, 'wake'>, token: string, environment: Variables): readonly string[] {
  const found = new Set<string>([token]);
  const add = (value: string, charactersMin: number): void => {
    for (const each of [value, SCHEME.exec(value)?.[1] ?? '', passwordOf(value) ?? '']) if (each.length >= charactersMin) found.add(each);
  };
  const look = (name: string, value: unknown, isEnv: boolean, depth: number): void => {
    if (typeof value === 'string') {
      if (isSecretName(name)) add(value, NAMED_CHARACTERS_MIN);
      else if (isEnv && !PLAIN_NAME.test(name) && !isPath(value)) add(value, SECRET_CHARACTERS_MIN);
      else addPassword(value);
    } else if (typeof value === 'object' && value !== null && depth < OPTIONS_DEPTH_MAX) {
      for (const [key, inner] of Object.entries(value)) look(Array.isArray(value) ? name : key, inner, name === 'env', depth + 1);
    }
  };
  const addPassword = (value: string): void => void add(passwordOf(value) ?? '', NAMED_CHARACTERS_MIN);
  look('', wake?.options ?? {}, false, 0);
  for (const [name, value = ''] of Object.entries(environment)) {
    if (isSecretName(name)) add(value, NAMED_CHARACTERS_MIN);
    else addPassword(value);
  }
  return [...found];
}

const isPath = (value: string): boolean => /^(?:~|\.{0,2})\/[^\s]*$/.test(value);
