from tests.transfers.conftest import connection as connection
from tests.transfers.conftest import extract as extract
