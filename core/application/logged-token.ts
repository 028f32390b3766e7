/** What the log shows of an unknown token: enough to recognize it, too little to use it. */

/** As many characters as the list of tokens shows. */
export const TOKEN_PREFIX_CHARACTERS = 8;
/** The tokens of a hub are longer. Of a shorter text, such as a password, that many characters would reveal too much. */
const TOKEN_CHARACTERS_MIN = 32;

export const loggedToken = (token: string): string =>
  token.length < TOKEN_CHARACTERS_MIN ? 'invalid' : `${token.slice(0, TOKEN_PREFIX_CHARACTERS)}…`;
