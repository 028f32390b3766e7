/** Apart from the code that uses it: a page in a browser has its type without those of Node. */

/** How a hub is recognized. If empty: by a certificate of a public authority for its name. */
export interface HubTrust {
  /** `sha256/…`. If given, they decide alone: the name and the issuer of the certificate do not matter. */
  readonly fingerprints?: readonly string[] | undefined;
  /** Certificates of all authorities that are trusted, PEM. Default: those that Node trusts. */
  readonly ca?: readonly string[] | undefined;
}
