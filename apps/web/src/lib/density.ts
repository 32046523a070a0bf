/** Where the reader's choice between roomy and compact lists is kept. */
export const densityCookie = "trigon_density";
