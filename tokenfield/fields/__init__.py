"""Fields: tokens, the model that reads them, and the domain they cover."""

from tokenfield.fields.field import Field as Field
