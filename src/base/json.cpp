// Boost.JSON's own definitions, compiled once for everybody who includes its headers (adit_json).
#include <boost/json/src.hpp>
