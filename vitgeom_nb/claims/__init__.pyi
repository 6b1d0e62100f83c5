"""Published sentences, the rules that decide them, and the verdicts."""

from .evidence import evidence as evidence
from .evidence import reduced as reduced
from .findings import findings as findings
from .ledger import table as table
from .open_questions import undecided as undecided
from .presets import preset as preset
from .recording import record as record
from .runs import recorded as recorded
from .sentences import sentences as sentences
from .toolkit import references as references
from .two_recipes import architecture_or_recipe as architecture_or_recipe
from .two_recipes import recipes as recipes
from .written import html as html
