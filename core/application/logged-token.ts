/** What the log shows of a token that nobody knows: enough to recognize it, too little to use it. */

/** As many as the list of tokens shows. */
export const TOKEN_PREFIX_CHARACTERS = 8;
/** The tokens of a hub are longer. Of a shorter text, such as a password, these characters would be too many. */
const TOKEN_CHARACTERS_MIN = 32;

export const loggedToken = (token: string): string =>
  token.length < TOKEN_CHARACTERS_MIN ? 'invalid' : `${token.slice(0, TOKEN_PREFIX_CHARACTERS)}…`;
